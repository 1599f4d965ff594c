// Eigen at the products of the forward pass, for comparison: rows are shared out among the threads,
// each of which runs Eigen's own product.
// g++ 12 finds uninitialised vectors in its own intrinsics.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <omp.h>

#include <memory>

#include <eigen3/Eigen/Dense>

#include "bench/entries.h"

namespace hrm::bench {

std::vector<Entry> eigen_entries() {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  std::vector<Entry> entries;
  struct Case {
    int rows, in, out;
  };
  for (const Case s : {Case{656, 512, 1536},
                       {656, 512, 3072},
                       {656, 1536, 512},
                       {656, 512, 512},
                       {1088, 128, 384},
                       {1088, 128, 1024},
                       {1088, 512, 128},
                       {1088, 128, 128}}) {
    auto x = std::make_shared<Matrix>(Matrix::Random(s.rows, s.in));
    auto w = std::make_shared<Matrix>(Matrix::Random(s.out, s.in));
    auto y = std::make_shared<Matrix>(s.rows, s.out);
    Entry e;
    e.group = "Eigen f32";
    e.name = std::to_string(s.rows) + " x " + std::to_string(s.in) + " -> " +
             std::to_string(s.out) + " forward";
    e.unit = Unit::flops;
    e.work = 2.0 * s.rows * s.in * s.out;
    e.run = [=] {
      Eigen::setNbThreads(1);
#pragma omp parallel
      {
        const int count = omp_get_num_threads(), me = omp_get_thread_num();
        const int begin = s.rows * me / count, end = s.rows * (me + 1) / count;
        y->middleRows(begin, end - begin).noalias() =
            x->middleRows(begin, end - begin) * w->transpose();
      }
    };
    entries.push_back(e);
  }
  return entries;
}

}  // namespace hrm::bench

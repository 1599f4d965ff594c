// A step of CompressARC (examples/compressarc), for tasks of six sizes.
#include <omp.h>

#include <nlohmann/json.hpp>

#include "bench/entries.h"
#include "examples/compressarc/task_fit.h"

namespace hrm::bench {
namespace {

struct TaskSize {
  int examples, colours, rows, cols;  // colours without black
  bool sure;                          // whether the sizes of answers follow from the others
};

// Speed does not depend on what grids say, but on their sizes.
ArcTask random_task(const TaskSize& size) {
  Random random(1);
  const auto draw = [&](int rows, int cols) {
    ArcGrid grid{rows, cols, {}};
    for (int i = 0; i < rows * cols; ++i)
      grid.cells.push_back(
          static_cast<uint8_t>(i <= size.colours ? i : random.below(size.colours + 1)));
    return grid;
  };
  ArcTask task;
  task.id = "random";
  for (int i = 0; i < size.examples; ++i) {
    const int shorter = size.sure ? 0 : i % 2;
    (i + 1 < size.examples ? task.train : task.test)
        .push_back({draw(size.rows, size.cols), draw(size.rows - shorter, size.cols)});
  }
  return task;
}

double seconds_per_step(const ArcTask& task, int threads, int rounds) {
  const int all = omp_get_max_threads();
  omp_set_num_threads(threads);
  compressarc::TaskFit fit(task, 0);
  fit.advance();
  double best = 1e30;
  for (int round = 0; round < rounds; ++round) {
    const double start = now();
    fit.advance();
    best = std::min(best, now() - start);
  }
  omp_set_num_threads(all);
  return best;
}

}  // namespace

std::vector<CompressResult> measure_compressarc(int threads) {
  const std::vector<TaskSize> sizes = {{6, 2, 3, 3, true},    {5, 1, 12, 12, false},
                                       {4, 3, 17, 17, true},  {4, 9, 15, 15, true},
                                       {4, 9, 30, 30, false}, {5, 9, 30, 30, false}};
  std::vector<CompressResult> results;
  for (const TaskSize& size : sizes) {
    CompressResult result;
    result.cells = int64_t{8} * size.examples * size.colours * size.rows * size.cols;
    const ArcTask task = random_task(size);
    empty_cache();
    reset_peak();
    const int rounds = result.cells < 10'000 ? 40 : result.cells < 100'000 ? 10 : 4;
    result.one_thread = seconds_per_step(task, 1, rounds);
    result.all_threads = seconds_per_step(task, threads, rounds);
    result.peak_bytes = static_cast<double>(allocator_stats().peak);
    results.push_back(result);
  }
  return results;
}

}  // namespace hrm::bench

#include "kernels/topk.h"

#include <numeric>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/formulas.h"

namespace hrm::HRM_CPU {

void topk(DType t, void* values, int32_t* index, const void* x, int64_t rows, int64_t cols,
          int64_t k, const Context&) {
  visit_any(t, [&]<class T>() {
    parallel_for(rows, cols, [&](int64_t r) {
      const T* row = static_cast<const T*>(x) + r * cols;
      std::vector<int32_t> order(cols);
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int32_t i, int32_t j) {
        return ranks_before(static_cast<Working<T>>(row[i]), i, static_cast<Working<T>>(row[j]), j);
      });
      for (int64_t j = 0; j < k; ++j) {
        index[r * k + j] = order[j];
        static_cast<T*>(values)[r * k + j] = row[order[j]];
      }
    });
  });
}

}  // namespace hrm::HRM_CPU

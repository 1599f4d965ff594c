#include "kernels/cuda/gpu.h"
#include "kernels/formulas.h"
#include "kernels/topk.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 256;

// A thread a row: each of the k passes finds the first element behind the one found before. This is
// quick for the few largest, which is what is asked for.
template <class T>
__global__ void topk_kernel(T* values, int32_t* index, const T* x, int64_t rows, int64_t cols,
                            int64_t k) {
  for (int64_t r = gpu::first(); r < rows; r += gpu::stride()) {
    const T* row = x + r * cols;
    int64_t last = -1;
    for (int64_t j = 0; j < k; ++j) {
      int64_t best = -1;
      for (int64_t i = 0; i < cols; ++i) {
        const auto value = gpu::load(row[i]);
        if (last >= 0 && !ranks_before(gpu::load(row[last]), last, value, i)) continue;
        if (best < 0 || ranks_before(value, i, gpu::load(row[best]), best)) best = i;
      }
      index[r * k + j] = static_cast<int32_t>(best);
      values[r * k + j] = row[best];
      last = best;
    }
  }
}

}  // namespace

void topk(DType t, void* values, int32_t* index, const void* x, int64_t rows, int64_t cols,
          int64_t k, const Context& context) {
  if (rows == 0 || k == 0) return;
  visit_any(t, [&]<class T>() {
    gpu::launch<topk_kernel<T>>(gpu::blocks_for(rows, kBlock), dim3(kBlock), 0, context,
                                static_cast<T*>(values), index, static_cast<const T*>(x), rows,
                                cols, k);
  });
}

}  // namespace hrm::cuda

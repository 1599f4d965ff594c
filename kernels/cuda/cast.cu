#include "kernels/cast.h"
#include "kernels/cuda/gpu.h"

namespace hrm::cuda {
namespace {

// By way of float where bf16 takes part, as on the CPU.
template <class To, class From>
__global__ void cast_kernel(To* y, const From* x, int64_t n) {
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) gpu::store(y[i], gpu::load(x[i]));
}

}  // namespace

void cast(DType to, void* y, DType from, const void* x, int64_t n, const Context& context) {
  if (n == 0) return;
  visit_any(to, [&]<class To>() {
    visit_any(from, [&]<class From>() {
      gpu::launch<cast_kernel<To, From>>(gpu::blocks_for(n, 256), dim3(256), 0, context,
                                         static_cast<To*>(y), static_cast<const From*>(x), n);
    });
  });
}

}  // namespace hrm::cuda

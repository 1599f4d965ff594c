#include "kernels/cuda/gpu.h"
#include "kernels/dropout.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 256;
constexpr int kDraws = static_cast<int>(kDropoutDraws);  // elements of a thread

// whole: every operand is aligned to sixteen bytes, and the elements of a thread are read in packs.
template <class T>
__global__ void dropout_kernel(T* y, const T* x, const T* residual, int64_t n, DropoutRule rule,
                               bool whole) {
  using A = arithmetic<T>;
  constexpr int kSize = gpu::Pack<T>::kSize;
  const DropoutDraws draws = dropout_draws(rule);
  const A scale = static_cast<A>(draws.scale);
  for (int64_t b = gpu::first(); b * kDraws < n; b += gpu::stride()) {
    const PhiloxBlock block = philox(draws.seed, static_cast<uint64_t>(b));
    A factors[kDraws];
    GPU_UNROLL
    for (int k = 0; k < kDraws; ++k)
      factors[k] = dropout_draw(block, k) >= draws.threshold ? scale : A(0);
    const int64_t at = b * kDraws;
    if (whole && at + kDraws <= n) {
      GPU_UNROLL
      for (int part = 0; part < kDraws; part += kSize) {
        gpu::Pack<T> p, r;
        p.read(x + at + part);
        if (residual) r.read(residual + at + part);
        GPU_UNROLL
        for (int k = 0; k < kSize; ++k)
          p.v[k] = residual ? factors[part + k] * p.v[k] + r.v[k] : factors[part + k] * p.v[k];
        p.write(y + at + part);
      }
    } else {
      GPU_UNROLL
      for (int k = 0; k < kDraws; ++k) {
        if (at + k >= n) break;
        const A kept = factors[k] * gpu::load(x[at + k]);
        gpu::store(y[at + k], residual ? kept + gpu::load(residual[at + k]) : kept);
      }
    }
  }
}

}  // namespace

void dropout(DType t, void* y, const void* x, const void* residual, int64_t n,
             const DropoutRule& rule, const Context& context) {
  if (n == 0) return;
  const bool whole = gpu::aligned(y) && gpu::aligned(x) && gpu::aligned(residual);
  visit_float(t, [&]<class T>() {
    gpu::launch<dropout_kernel<T>>(gpu::blocks_for((n + kDraws - 1) / kDraws, kBlock), dim3(kBlock),
                                   0, context, static_cast<T*>(y), static_cast<const T*>(x),
                                   static_cast<const T*>(residual), n, rule, whole);
  });
}

}  // namespace hrm::cuda

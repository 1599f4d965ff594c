#include "kernels/dropout.h"

#include <algorithm>

#include "kernels/cpu/dropout_factors.h"
#include "kernels/cpu/parallel.h"

namespace hrm::HRM_CPU {

void dropout(DType t, void* y, const void* x, const void* residual, int64_t n,
             const DropoutRule& rule, const Context&) {
  static_assert(kChunk % kDropoutDraws == 0);
  const DropoutDraws draws = dropout_draws(rule);
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    T* out = static_cast<T*>(y);
    const T *in = static_cast<const T*>(x), *add = static_cast<const T*>(residual);
    parallel_chunks(n, [&](int64_t begin, int64_t end) {
      A factors[kChunk];
      const int64_t count = end - begin;
      dropout_factors(factors, draws, static_cast<uint64_t>(begin / kDropoutDraws),
                      (count + kDropoutDraws - 1) / kDropoutDraws);
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) {
        const A kept = factors[i] * static_cast<A>(in[begin + i]);
        assign(out[begin + i], add ? kept + static_cast<A>(add[begin + i]) : kept);
      }
    });
  });
}

}  // namespace hrm::HRM_CPU

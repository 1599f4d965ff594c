#include "kernels/cast.h"

#include <cstring>

#include "kernels/cpu/parallel.h"

namespace hrm::HRM_CPU {

void cast(DType to, void* y, DType from, const void* x, int64_t n, const Context&) {
  visit_any(to, [&]<class To>() {
    visit_any(from, [&]<class From>() {
      // Between bf16 and anything the way goes through float (double for f64 sources: one rounding
      // to float, one to bf16, as PyTorch does).
      parallel_chunks(n, [&](int64_t begin, int64_t end) {
        const From* in = static_cast<const From*>(x);
        To* out = static_cast<To*>(y);
#pragma omp simd
        for (int64_t i = begin; i < end; ++i) {
          if constexpr (std::is_same_v<To, bfloat16>)
            out[i].bits = bfloat16::round(static_cast<float>(in[i]));  // a NaN may be signalling
          else if constexpr (std::is_same_v<From, bfloat16>)
            out[i] = static_cast<To>(static_cast<float>(in[i]));
          else
            out[i] = static_cast<To>(in[i]);
        }
      });
    });
  });
}

}  // namespace hrm::HRM_CPU

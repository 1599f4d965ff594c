#include "kernels/rms_norm.h"

#include <cmath>

#include "kernels/cpu/parallel.h"

namespace hrm::HRM_CPU {

void rms_norm(DType t, void* y, void* rstd, const void* x, const void* residual, int64_t rows,
              int64_t cols, double eps, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    parallel_for(rows, cols, [&](int64_t r) {
      const T* in = static_cast<const T*>(x) + r * cols;
      const T* add = residual ? static_cast<const T*>(residual) + r * cols : nullptr;
      T* out = static_cast<T*>(y) + r * cols;
      // The sum is rounded to T, as the unfused code does, and parked in the output.
      A total = 0;
#pragma omp simd reduction(+ : total)
      for (int64_t c = 0; c < cols; ++c) {
        const A h = add ? rounded<T>(static_cast<A>(in[c]) + static_cast<A>(add[c]))
                        : static_cast<A>(in[c]);
        assign(out[c], h);
        total += h * h;
      }
      const A scale = A(1) / std::sqrt(total / static_cast<A>(cols) + static_cast<A>(eps));
      static_cast<A*>(rstd)[r] = scale;
#pragma omp simd
      for (int64_t c = 0; c < cols; ++c) assign(out[c], static_cast<A>(out[c]) * scale);
    });
  });
}

void rms_norm_backward(DType t, void* dh, const void* y, const void* rstd, const void* dy,
                       int64_t rows, int64_t cols, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    parallel_for(rows, cols, [&](int64_t r) {
      const T* out = static_cast<const T*>(y) + r * cols;
      const T* g = static_cast<const T*>(dy) + r * cols;
      T* d = static_cast<T*>(dh) + r * cols;
      A dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int64_t c = 0; c < cols; ++c) dot += static_cast<A>(g[c]) * static_cast<A>(out[c]);
      const A mean = dot / static_cast<A>(cols), scale = static_cast<const A*>(rstd)[r];
#pragma omp simd
      for (int64_t c = 0; c < cols; ++c)
        assign(d[c], scale * (static_cast<A>(g[c]) - static_cast<A>(out[c]) * mean));
    });
  });
}

}  // namespace hrm::HRM_CPU

#include "kernels/swiglu.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::HRM_CPU {

void swiglu(DType t, void* y, const void* gate_up, int64_t rows, int64_t inter, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    parallel_for(rows, 2 * inter, [&](int64_t r) {
      const T* gate = static_cast<const T*>(gate_up) + r * 2 * inter;
      const T* up = gate + inter;
      T* out = static_cast<T*>(y) + r * inter;
#pragma omp simd
      for (int64_t i = 0; i < inter; ++i) {
        const A g = static_cast<A>(gate[i]);
        const A silu = rounded<T>(g * sigmoid(g));  // as unfused
        assign(out[i], silu * static_cast<A>(up[i]));
      }
    });
  });
}

void swiglu_backward(DType t, void* dgate_up, const void* gate_up, const void* dy, int64_t rows,
                     int64_t inter, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    parallel_for(rows, 2 * inter, [&](int64_t r) {
      const T* gate = static_cast<const T*>(gate_up) + r * 2 * inter;
      const T* up = gate + inter;
      const T* grad = static_cast<const T*>(dy) + r * inter;
      T* dgate = static_cast<T*>(dgate_up) + r * 2 * inter;
      T* dup = dgate + inter;
#pragma omp simd
      for (int64_t i = 0; i < inter; ++i) {
        const A g = static_cast<A>(gate[i]), u = static_cast<A>(up[i]);
        const A d = static_cast<A>(grad[i]), s = sigmoid(g);
        assign(dgate[i], d * u * s * (A(1) + g * (A(1) - s)));
        assign(dup[i], d * g * s);
      }
    });
  });
}

}  // namespace hrm::HRM_CPU

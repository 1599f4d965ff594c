#include "kernels/rope.h"

#include "kernels/cpu/parallel.h"

namespace hrm::HRM_CPU {

void rope(DType t, void* y, const void* x, const void* cos, const void* sin, int64_t batch,
          int64_t seq, int64_t heads, int64_t head_dim, bool inverse, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const int64_t half = head_dim / 2;
    const A sign = inverse ? A(-1) : A(1);
    parallel_for(batch * seq, heads * head_dim, [&](int64_t i) {
      const A* c = static_cast<const A*>(cos) + i % seq * head_dim;
      const A* s = static_cast<const A*>(sin) + i % seq * head_dim;
      for (int64_t h = 0; h < heads; ++h) {
        const T* in = static_cast<const T*>(x) + (i * heads + h) * head_dim;
        T* out = static_cast<T*>(y) + (i * heads + h) * head_dim;
        for (int64_t d = 0; d < half; ++d) {
          const A a = static_cast<A>(in[d]), b = static_cast<A>(in[d + half]);
          // The transpose of the rotation takes each sine from the other half's row.
          const A first = sign * (inverse ? s[d + half] : s[d]);
          const A second = sign * (inverse ? s[d] : s[d + half]);
          assign(out[d], a * c[d] - b * first);
          assign(out[d + half], b * c[d + half] + a * second);
        }
      }
    });
  });
}

}  // namespace hrm::HRM_CPU

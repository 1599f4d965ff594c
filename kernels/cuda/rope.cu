#include "kernels/cuda/gpu.h"
#include "kernels/rope.h"

namespace hrm::cuda {
namespace {

// One thread a pair (i, i + head_dim / 2).
template <class T>
__global__ void rope_kernel(T* y, const T* x, const arithmetic<T>* cos, const arithmetic<T>* sin,
                            int64_t pairs, int64_t seq, int64_t heads, int64_t half, bool inverse) {
  using A = arithmetic<T>;
  for (int64_t i = gpu::first(); i < pairs; i += gpu::stride()) {
    const int64_t d = i % half, head = i / half, s = head / heads % seq;
    const A *c = cos + s * 2 * half, *sn = sin + s * 2 * half;
    const T* in = x + head * 2 * half;
    const A a = gpu::load(in[d]), b = gpu::load(in[d + half]);
    // The transpose of the rotation takes each sine from the other half's row.
    const A first = inverse ? -sn[d + half] : sn[d], second = inverse ? -sn[d] : sn[d + half];
    T* out = y + head * 2 * half;
    gpu::store(out[d], a * c[d] - b * first);
    gpu::store(out[d + half], b * c[d + half] + a * second);
  }
}

}  // namespace

void rope(DType t, void* y, const void* x, const void* cos, const void* sin, int64_t batch,
          int64_t seq, int64_t heads, int64_t head_dim, bool inverse, const Context& context) {
  const int64_t pairs = batch * seq * heads * head_dim / 2;
  if (pairs == 0) return;
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    gpu::launch<rope_kernel<T>>(gpu::blocks_for(pairs, 256), dim3(256), 0, context,
                                static_cast<T*>(y), static_cast<const T*>(x),
                                static_cast<const A*>(cos), static_cast<const A*>(sin), pairs, seq,
                                heads, head_dim / 2, inverse);
  });
}

}  // namespace hrm::cuda

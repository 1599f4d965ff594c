#include "kernels/cuda/gpu.h"
#include "kernels/rms_norm.h"

namespace hrm::cuda {
namespace {

// A warp works on a row, four rows a block: no shared memory, no barrier.
constexpr int kRows = 4;

// Rows of 32 * kPack * packs elements stay in registers between the two passes. packs 0: any width,
// one element at a time; the sum waits in the output.
template <class T, int packs>
__global__ void __launch_bounds__(gpu::kWarp* kRows)
    rms_norm_kernel(T* y, arithmetic<T>* rstd, const T* x, const T* residual, int64_t rows,
                    int64_t cols, arithmetic<T> eps) {
  using A = arithmetic<T>;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRows + gpu::warp();
  if (row >= rows) return;
  const T* in = x + row * cols;
  const T* add = residual ? residual + row * cols : nullptr;
  T* out = y + row * cols;
  const auto scale_of = [&](A total) {
    const A scale = A(1) / gpu::square_root(gpu::warp_sum(total) / static_cast<A>(cols) + eps);
    if (gpu::lane() == 0) rstd[row] = scale;
    return scale;
  };
  A total = 0;
  if constexpr (packs > 0) {
    constexpr int kSize = gpu::Pack<T>::kSize;
    gpu::Pack<T> h[packs];
    GPU_UNROLL
    for (int i = 0; i < packs; ++i) {
      const int at = (i * gpu::kWarp + gpu::lane()) * kSize;
      h[i].read(in + at);
      if (add) {
        gpu::Pack<T> r;
        r.read(add + at);
        GPU_UNROLL
        for (int k = 0; k < kSize; ++k) h[i].v[k] = gpu::rounded<T>(h[i].v[k] + r.v[k]);
      }
      GPU_UNROLL
      for (int k = 0; k < kSize; ++k) total += h[i].v[k] * h[i].v[k];
    }
    const A scale = scale_of(total);
    GPU_UNROLL
    for (int i = 0; i < packs; ++i) {
      GPU_UNROLL
      for (int k = 0; k < kSize; ++k) h[i].v[k] *= scale;
      h[i].write(out + (i * gpu::kWarp + gpu::lane()) * kSize);
    }
  } else {
    for (int64_t c = gpu::lane(); c < cols; c += gpu::kWarp) {
      A h = gpu::load(in[c]);
      if (add) h = gpu::rounded<T>(h + gpu::load(add[c]));
      gpu::store(out[c], h);
      total += h * h;
    }
    const A scale = scale_of(total);
    for (int64_t c = gpu::lane(); c < cols; c += gpu::kWarp)
      gpu::store(out[c], gpu::load(out[c]) * scale);
  }
}

template <class T, int packs>
__global__ void __launch_bounds__(gpu::kWarp* kRows)
    rms_norm_backward_kernel(T* dh, const T* y, const arithmetic<T>* rstd, const T* dy,
                             int64_t rows, int64_t cols) {
  using A = arithmetic<T>;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRows + gpu::warp();
  if (row >= rows) return;
  const T *out = y + row * cols, *g = dy + row * cols;
  T* d = dh + row * cols;
  const A scale = rstd[row];
  A dot = 0;
  if constexpr (packs > 0) {
    constexpr int kSize = gpu::Pack<T>::kSize;
    gpu::Pack<T> o[packs], grad[packs];
    GPU_UNROLL
    for (int i = 0; i < packs; ++i) {
      const int at = (i * gpu::kWarp + gpu::lane()) * kSize;
      o[i].read(out + at);
      grad[i].read(g + at);
      GPU_UNROLL
      for (int k = 0; k < kSize; ++k) dot += grad[i].v[k] * o[i].v[k];
    }
    const A mean = gpu::warp_sum(dot) / static_cast<A>(cols);
    GPU_UNROLL
    for (int i = 0; i < packs; ++i) {
      GPU_UNROLL
      for (int k = 0; k < kSize; ++k) grad[i].v[k] = scale * (grad[i].v[k] - o[i].v[k] * mean);
      grad[i].write(d + (i * gpu::kWarp + gpu::lane()) * kSize);
    }
  } else {
    for (int64_t c = gpu::lane(); c < cols; c += gpu::kWarp)
      dot += gpu::load(g[c]) * gpu::load(out[c]);
    const A mean = gpu::warp_sum(dot) / static_cast<A>(cols);
    for (int64_t c = gpu::lane(); c < cols; c += gpu::kWarp)
      gpu::store(d[c], scale * (gpu::load(g[c]) - gpu::load(out[c]) * mean));
  }
}

// Calls run.operator()<packs>() for rows of `cols` elements at these addresses.
template <class T, class Run>
void by_width(int64_t cols, std::initializer_list<const void*> pointers, const Run& run) {
  constexpr int64_t kSpan = gpu::kWarp * gpu::Pack<T>::kSize;
  bool aligned = cols % kSpan == 0;
  for (const void* p : pointers) aligned = aligned && gpu::aligned(p);
  if (aligned && cols == kSpan) return run.template operator()<1>();
  if (aligned && cols == 2 * kSpan) return run.template operator()<2>();
  if (aligned && cols == 4 * kSpan) return run.template operator()<4>();
  run.template operator()<0>();
}

}  // namespace

void rms_norm(DType t, void* y, void* rstd, const void* x, const void* residual, int64_t rows,
              int64_t cols, double eps, const Context& context) {
  if (rows == 0) return;
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    by_width<T>(cols, {y, x, residual}, [&]<int packs>() {
      gpu::launch<rms_norm_kernel<T, packs>>(
          gpu::blocks_for(rows, kRows, INT32_MAX), dim3(gpu::kWarp * kRows), 0, context,
          static_cast<T*>(y), static_cast<A*>(rstd), static_cast<const T*>(x),
          static_cast<const T*>(residual), rows, cols, static_cast<A>(eps));
    });
  });
}

void rms_norm_backward(DType t, void* dh, const void* y, const void* rstd, const void* dy,
                       int64_t rows, int64_t cols, const Context& context) {
  if (rows == 0) return;
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    by_width<T>(cols, {dh, y, dy}, [&]<int packs>() {
      gpu::launch<rms_norm_backward_kernel<T, packs>>(
          gpu::blocks_for(rows, kRows, INT32_MAX), dim3(gpu::kWarp * kRows), 0, context,
          static_cast<T*>(dh), static_cast<const T*>(y), static_cast<const A*>(rstd),
          static_cast<const T*>(dy), rows, cols);
    });
  });
}

}  // namespace hrm::cuda

#include "kernels/cuda/gpu.h"
#include "kernels/windows.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 256;

template <class T>
__global__ void im2col_kernel(T* y, const T* x, Windows w, int64_t n) {
  const int64_t cols = w.cols();
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const int64_t pixel = pixel_of(w, i / cols, i % cols);
    gpu::store(y[i], pixel < 0 ? arithmetic<T>(0) : gpu::load(x[pixel]));
  }
}

// A thread a pixel, which collects what its windows say: no atomics, the same bits each time.
template <class T>
__global__ void col2im_kernel(T* dx, const T* dy, Windows w, int64_t n) {
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    arithmetic<T> total = 0;
    for_windows_of(w, i, [&](int64_t at) { total += gpu::load(dy[at]); });
    gpu::store(dx[i], total);
  }
}

}  // namespace

void im2col(DType t, void* y, const void* x, const Windows& w, const Context& context) {
  const int64_t n = w.rows() * w.cols();
  if (n == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<im2col_kernel<T>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                                  static_cast<T*>(y), static_cast<const T*>(x), w, n);
  });
}

void col2im(DType t, void* dx, const void* dy, const Windows& w, const Context& context) {
  const int64_t n = w.batch * w.channels * w.height * w.width;
  if (n == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<col2im_kernel<T>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                                  static_cast<T*>(dx), static_cast<const T*>(dy), w, n);
  });
}

}  // namespace hrm::cuda

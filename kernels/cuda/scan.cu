#include "kernels/cuda/gpu.h"
#include "kernels/scan.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 256;

// A thread a line; those of a warp walk along lines that lie side by side.
template <class T>
__global__ void cummax_kernel(T* y, int32_t* index, const T* x, PlaneLines p, int64_t threads) {
  for (int64_t i = gpu::first(); i < threads; i += gpu::stride()) {
    const int64_t plane = i / p.inner / p.lines();
    const PlaneLines::Line line = p.line(i / p.inner % p.lines());
    const int64_t offset = plane * p.rows * p.cols * p.inner + i % p.inner;
    int64_t best = line.first, cell = line.first;
    for (int64_t n = 0; n < line.length; ++n, cell += line.step) {
      const T value = x[offset + cell * p.inner], largest = x[offset + best * p.inner];
      if (gpu::load(value) >= gpu::load(largest)) best = cell;
      y[offset + cell * p.inner] = x[offset + best * p.inner];
      index[offset + cell * p.inner] = static_cast<int32_t>(best);
    }
  }
}

template <class T>
__global__ void cummax_backward_kernel(T* dx, const T* dy, const int32_t* index, PlaneLines p,
                                       int64_t threads) {
  for (int64_t i = gpu::first(); i < threads; i += gpu::stride()) {
    const int64_t plane = i / p.inner / p.lines();
    const PlaneLines::Line line = p.line(i / p.inner % p.lines());
    const int64_t offset = plane * p.rows * p.cols * p.inner + i % p.inner;
    int64_t best = line.first, cell = line.first;
    arithmetic<T> total = 0;
    for (int64_t n = 0; n < line.length; ++n, cell += line.step) {
      const int64_t chosen = index[offset + cell * p.inner];
      if (chosen != best) {
        gpu::store(dx[offset + best * p.inner], total);
        best = chosen;
        total = 0;
      }
      total += gpu::load(dy[offset + cell * p.inner]);
      gpu::store(dx[offset + cell * p.inner], arithmetic<T>(0));
    }
    gpu::store(dx[offset + best * p.inner], total);
  }
}

template <class T>
__global__ void cumsum_kernel(T* y, const T* x, PlaneLines p, int64_t threads) {
  for (int64_t i = gpu::first(); i < threads; i += gpu::stride()) {
    const int64_t plane = i / p.inner / p.lines();
    const PlaneLines::Line line = p.line(i / p.inner % p.lines());
    const int64_t offset = plane * p.rows * p.cols * p.inner + i % p.inner;
    arithmetic<T> total = 0;
    int64_t cell = line.first;
    for (int64_t n = 0; n < line.length; ++n, cell += line.step) {
      total += gpu::load(x[offset + cell * p.inner]);
      gpu::store(y[offset + cell * p.inner], total);
    }
  }
}

}  // namespace

void cummax(DType t, void* y, int32_t* index, const void* x, const PlaneLines& p,
            const Context& context) {
  const int64_t threads = p.outer * p.lines() * p.inner;
  if (threads == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<cummax_kernel<T>>(gpu::blocks_for(threads, kBlock), dim3(kBlock), 0, context,
                                  static_cast<T*>(y), index, static_cast<const T*>(x), p, threads);
  });
}

void cummax_backward(DType t, void* dx, const void* dy, const int32_t* index, const PlaneLines& p,
                     const Context& context) {
  const int64_t threads = p.outer * p.lines() * p.inner;
  if (threads == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<cummax_backward_kernel<T>>(gpu::blocks_for(threads, kBlock), dim3(kBlock), 0,
                                           context, static_cast<T*>(dx), static_cast<const T*>(dy),
                                           index, p, threads);
  });
}

void cumsum(DType t, void* y, const void* x, const PlaneLines& p, const Context& context) {
  const int64_t threads = p.outer * p.lines() * p.inner;
  if (threads == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<cumsum_kernel<T>>(gpu::blocks_for(threads, kBlock), dim3(kBlock), 0, context,
                                  static_cast<T*>(y), static_cast<const T*>(x), p, threads);
  });
}

}  // namespace hrm::cuda

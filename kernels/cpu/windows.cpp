#include "kernels/windows.h"

#include "kernels/cpu/parallel.h"

namespace hrm::HRM_CPU {

void im2col(DType t, void* y, const void* x, const Windows& w, const Context&) {
  visit_float(t, [&]<class T>() {
    const int64_t cols = w.cols();
    const T* in = static_cast<const T*>(x);
    parallel_for(w.rows(), cols, [&](int64_t row) {
      T* out = static_cast<T*>(y) + row * cols;
      for (int64_t col = 0; col < cols; ++col) {
        const int64_t pixel = pixel_of(w, row, col);
        out[col] = pixel < 0 ? T(0.0f) : in[pixel];
      }
    });
  });
}

void col2im(DType t, void* dx, const void* dy, const Windows& w, const Context&) {
  visit_float(t, [&]<class T>() {
    const T* g = static_cast<const T*>(dy);
    const int64_t pixels = w.batch * w.channels * w.height * w.width;
    parallel_chunks(pixels, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        arithmetic<T> total = 0;
        for_windows_of(w, i, [&](int64_t at) { total += static_cast<arithmetic<T>>(g[at]); });
        assign(static_cast<T*>(dx)[i], total);
      }
    });
  });
}

}  // namespace hrm::HRM_CPU

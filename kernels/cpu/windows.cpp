#include "kernels/windows.h"

#include "kernels/cpu/parallel.h"

namespace hrm::HRM_CPU {

void im2col(DType t, void* y, const void* x, const Windows& w, const Context&) {
  visit_float(t, [&]<class T>() {
    const int64_t cols = w.cols(), across = w.across(), down = w.down();
    parallel_for(w.rows(), cols, [&](int64_t row) {
      T* out = static_cast<T*>(y) + row * cols;
      const int64_t top = row / across % down * w.stride - w.padding;
      const int64_t left = row % across * w.stride - w.padding;
      const T* image =
          static_cast<const T*>(x) + row / (down * across) * w.channels * w.height * w.width;
      for (int64_t line = 0; line < w.channels * w.size; ++line, out += w.size) {
        const int64_t i = top + line % w.size;
        const bool inside = i >= 0 && i < w.height;
        const T* pixels = image + (line / w.size * w.height + (inside ? i : 0)) * w.width;
        for (int64_t k = 0; k < w.size; ++k) {
          const int64_t j = left + k;
          out[k] = inside && j >= 0 && j < w.width ? pixels[j] : T(0.0f);
        }
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

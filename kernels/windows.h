// The windows that a convolution slides over images, laid out as the rows of a matrix (im2col), and
// the way back.
//
//     const Windows w = {.batch = 8, .channels = 3, .height = 32, .width = 32, .size = 5};
//     cpu::im2col(DType::f32, y, x, w, context);   // [8, 3, 32, 32] -> [8 * 28 * 28, 3 * 25]
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// Square windows of `size` x `size` pixels, `stride` apart, over images with `padding` zeros around
// them. The padded image is at least as large as a window; stride >= 1.
struct Windows {
  int64_t batch = 0, channels = 0, height = 0, width = 0;
  int64_t size = 1, stride = 1, padding = 0;

  HRM_HOST_DEVICE int64_t down() const { return (height + 2 * padding - size) / stride + 1; }
  HRM_HOST_DEVICE int64_t across() const { return (width + 2 * padding - size) / stride + 1; }
  HRM_HOST_DEVICE int64_t rows() const { return batch * down() * across(); }
  HRM_HOST_DEVICE int64_t cols() const { return channels * size * size; }
};

// y[window, (channel, row, column)] = x[image, channel, ...], or 0 in the padding. x: [batch,
// channels, height, width]; y: [rows(), cols()], windows in the order image, down, across.
HRM_KERNEL(im2col, (DType t, void* y, const void* x, const Windows& windows, const Context&))
// The adjoint: dx[image, channel, row, column] = the sum of dy over all windows that hold the
// pixel, in their order.
HRM_KERNEL(col2im, (DType t, void* dx, const void* dy, const Windows& windows, const Context&))

// Which pixel entry (row, col) of the matrix holds: its offset in x, or -1 in the padding.
HRM_HOST_DEVICE inline int64_t pixel_of(const Windows& w, int64_t row, int64_t col) {
  const int64_t across = w.across(), down = w.down();
  const int64_t image = row / (down * across), channel = col / (w.size * w.size);
  const int64_t y = row / across % down * w.stride - w.padding + col / w.size % w.size;
  const int64_t x = row % across * w.stride - w.padding + col % w.size;
  if (y < 0 || y >= w.height || x < 0 || x >= w.width) return -1;
  return ((image * w.channels + channel) * w.height + y) * w.width + x;
}
// add(offset in the matrix) for each window that holds pixel `i` of x.
template <class Add>
HRM_HOST_DEVICE void for_windows_of(const Windows& w, int64_t i, const Add& add) {
  const int64_t x = i % w.width + w.padding, y = i / w.width % w.height + w.padding;
  const int64_t channel = i / (w.width * w.height) % w.channels;
  const int64_t image = i / (w.width * w.height * w.channels);
  const int64_t across = w.across(), down = w.down();
  for (int64_t r = y < w.size ? 0 : (y - w.size) / w.stride + 1; r < down; ++r) {
    const int64_t dy = y - r * w.stride;
    if (dy < 0) break;
    for (int64_t c = x < w.size ? 0 : (x - w.size) / w.stride + 1; c < across; ++c) {
      const int64_t dx = x - c * w.stride;
      if (dx < 0) break;
      const int64_t row = (image * down + r) * across + c;
      add(row * w.cols() + (channel * w.size + dy) * w.size + dx);
    }
  }
}

}  // namespace hrm

// Convolutions over images [batch, channels, height, width], and the pooling that goes with them.
//
//     const Tensor y = conv2d(images, weight, bias, 1, 2);   // [8, 1, 28, 28] -> [8, 16, 28, 28]
//     max_pool2d(relu(y), 2);                                // [8, 16, 14, 14]
#pragma once

#include "autograd/node.h"

namespace hrm {

// The windows that a convolution sees, one row each: [batch, channels, height, width] ->
// [batch, down, across, channels * size * size]. Windows are `stride` apart, and `padding` zeros
// surround the image; down = (height + 2 padding - size) / stride + 1, and across likewise.
Tensor im2col(const Tensor& x, int64_t size, int64_t stride = 1, int64_t padding = 0);

// Cross-correlation, as PyTorch's conv2d: x [batch, in, height, width], weight [out, in, size,
// size] and bias [out] (or none) -> [batch, out, down, across]. A product of im2col(x) with the
// weight. In bf16, `weight` and `bias` are the f32 leaves, and `copy` the weight's bf16 image, as
// in linear().
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, int64_t stride = 1,
              int64_t padding = 0, const Tensor& copy = {});

// The largest value of each square of `size` x `size` pixels, which do not overlap: height and
// width must be multiples of `size`.
Tensor max_pool2d(const Tensor& x, int64_t size);

}  // namespace hrm

// Matrix products.
#pragma once

#include "autograd/node.h"

namespace hrm {

// a [..., m, k] times b [..., k, n]: equal batch dimensions, or b with two dimensions for every
// batch. Transposed operands cost no copy (strides).
Tensor matmul(const Tensor& a, const Tensor& b);

// y[..., out] = x[..., in] weight[out, in]' (+ bias[out]). In bf16, `weight` and `bias` are the f32
// leaves that receive f32 gradients, and `copy` is the weight's bf16 image, which is what the
// product reads (made on the spot if absent); with a bias the sum is rounded once.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& copy = {},
              const Tensor& bias = {});

}  // namespace hrm

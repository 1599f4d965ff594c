// Layer normalisation over the last dimension.
//
//     const Tensor y = layer_norm(x, weight, bias);   // x [..., 128], weight and bias [128]
#pragma once

#include "autograd/node.h"

namespace hrm {

// (x - mean) / sqrt(variance + eps) * weight + bias, mean and variance (of the population) over the
// last dimension (Ba, Kiros & Hinton 2016). weight and bias are in accumulate_type(x.dtype()).
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);
Tensor layer_norm_reference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                            double eps = 1e-5);

}  // namespace hrm

// RMS normalisation over the last dimension, without weight (as in HRM).
//
//     const Tensor y = add_rms_norm(x, residual);   // of their sum, in one pass
#pragma once

#include "autograd/node.h"

namespace hrm {

// y = h / sqrt(mean(h^2) + eps).
Tensor rms_norm(const Tensor& h, double eps = 1e-5);
// rms_norm(x + residual) in one pass; `residual` has the shape of x.
Tensor add_rms_norm(const Tensor& x, const Tensor& residual, double eps = 1e-5);
Tensor rms_norm_reference(const Tensor& h, double eps = 1e-5);

}  // namespace hrm

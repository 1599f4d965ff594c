// Exercise 3: RMSNorm over the rows of a matrix, and its gradient.
#pragma once

#include "docs/course/course.h"
#include "tensor/tensor.h"

namespace hrm::course {

struct Normalized {
  Tensor y;     // x / rms, [rows, cols]
  Tensor rstd;  // 1 / rms of each row, [rows]: what backward needs beside y
};

// y = x rstd, where rstd = 1 / sqrt(mean(x^2) + eps) of each row. x: f64, contiguous, [rows, cols]
// with cols >= 1.
Normalized rms_norm_forward(const Tensor& x, double eps);

// The gradient of x. y, rstd: what rms_norm_forward(x) returned; dy: the gradient of y, f64 and
// contiguous.
Tensor rms_norm_backward(const Tensor& y, const Tensor& rstd, const Tensor& dy);

}  // namespace hrm::course

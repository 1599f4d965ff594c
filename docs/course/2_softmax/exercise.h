// Exercise 2: softmax over the rows of a matrix, and its gradient.
#pragma once

#include "docs/course/course.h"
#include "tensor/tensor.h"

namespace hrm::course {

// y[i, j] = exp(x[i, j]) / (the sum of exp(x[i, k]) over k). x: f64, contiguous, [rows, cols] with
// cols >= 1. The numbers may be as large as an f64 can hold, and some of a row may be -infinity:
// their share is 0.
Tensor softmax_forward(const Tensor& x);

// The gradient of x, of the shape of x. y: what softmax_forward(x) returned; dy: the gradient of y,
// f64 and contiguous.
Tensor softmax_backward(const Tensor& y, const Tensor& dy);

}  // namespace hrm::course

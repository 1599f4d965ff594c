// Exercise 1: the sum of two tensors whose shapes differ, and its gradient.
#pragma once

#include "docs/course/course.h"
#include "tensor/tensor.h"

namespace hrm::course {

// The shape of a + b. The two shapes are written one below the other, flush right. Where one of
// them has no size, or the size 1, the sum has that of the other: (2, 1) and (3) make (2, 3).
// Anywhere else both sizes must be equal; if they are not, it is an hrm::Error.
Shape broadcast_shape(const Shape& a, const Shape& b);

// a + b, a new tensor of that shape. Both hold f64 and are contiguous: row-major, without gaps.
Tensor broadcast_add(const Tensor& a, const Tensor& b);

// The gradient of an operand of this shape, when dy is the gradient of the sum: for each element of
// the operand the sum of dy over all places where it was used. dy is f64, contiguous, and of the
// shape of the sum.
Tensor broadcast_add_backward(const Tensor& dy, const Shape& shape);

}  // namespace hrm::course

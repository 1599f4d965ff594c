// Views and rearrangements. reshape, transpose, slice and expand share memory where strides allow;
// all but reshape are the members of Tensor under the names of the operations.
//
//     const Tensor rows = reshape(arange(6, DType::f32), {2, 3});   // shares memory
//     select(rows, 1, 2);                                           // the last column: 2, 5
#pragma once

#include "autograd/node.h"

namespace hrm {

Tensor reshape(const Tensor& x, const Shape& shape);  // one dimension may be -1
Tensor transpose(const Tensor& x, int a, int b);      // swaps two dimensions
Tensor slice(const Tensor& x, int dim, int64_t start, int64_t end);
// One index of a dimension, which disappears.
Tensor select(const Tensor& x, int dim, int64_t index);
Tensor expand(const Tensor& x, const Shape& shape);
Tensor concat(const Tensors& parts, int dim);
// `before` and `after` zeros along one dimension.
Tensor pad(const Tensor& x, int dim, int64_t before, int64_t after);

}  // namespace hrm

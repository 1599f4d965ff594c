// Views and rearrangements. reshape, transpose, permute, slice and expand share memory where
// strides allow.
//
//     const Tensor rows = reshape(arange(6, DType::f32), {2, 3});   // shares memory
//     select(rows, 1, 2);                                           // the last column: 2, 5
#pragma once

#include "autograd/node.h"

namespace hrm {

Tensor reshape(const Tensor& x, const Shape& shape);  // one dimension may be -1
Tensor transpose(const Tensor& x, int a, int b);      // swaps two dimensions
// Dimension i of the result is dimension order[i] of x, each once.
Tensor permute(const Tensor& x, const std::vector<int>& order);
Tensor slice(const Tensor& x, int dim, int64_t start, int64_t end, int64_t step = 1);
// One position of a dimension, which disappears. Negative ones count from the end.
Tensor select(const Tensor& x, int dim, int64_t position);
// A new dimension of size 1, which becomes dimension `dim`; one of size 1, or all of them, left
// out.
Tensor unsqueeze(const Tensor& x, int dim);
Tensor squeeze(const Tensor& x, int dim);
Tensor squeeze(const Tensor& x);
// All dimensions from `from` on become one.
Tensor flatten(const Tensor& x, int from = 0);
Tensor expand(const Tensor& x, const Shape& shape);
Tensor concat(const Tensors& parts, int dim);
// Tensors of one shape side by side along a new dimension, which becomes dimension `dim`.
Tensor stack(const Tensors& parts, int dim);
// `before` and `after` zeros along one dimension.
Tensor pad(const Tensor& x, int dim, int64_t before, int64_t after);
// In the opposite order along one dimension (a copy).
Tensor flip(const Tensor& x, int dim);
// Moved by `by` places towards the end of one dimension, or towards its start where that is
// negative: what leaves is dropped, and zeros come in.
Tensor shift(const Tensor& x, int dim, int64_t by);
// The triangle of each matrix [..., rows, cols] on and below (tril), or on and above (triu) a
// diagonal, zeros elsewhere. Diagonal 1 lies above the main one, -1 below it.
Tensor tril(const Tensor& x, int64_t diagonal = 0);
Tensor triu(const Tensor& x, int64_t diagonal = 0);

}  // namespace hrm

// Running maxima and sums.
//
//     const Tensor x = from_vector<float>({1, 3, 2, 5}, {4});
//     cummax(x, 0);                        // 1, 3, 3, 5
//     cummax(x, 0, Direction::backward);   // 5, 5, 5, 5
//     cumsum(x, 0);                        // 1, 4, 6, 11
#pragma once

#include "autograd/node.h"

namespace hrm {

// Which way a line is walked along a dimension: from its first element or from its last.
enum class Direction { forward, backward };

// Of each element the largest value on its line along `dim` so far, its own included. Among equal
// values the gradient goes to the one that was met last. NaN is passed over, unless a line begins
// with it.
Tensor cummax(const Tensor& x, int dim, Direction direction = Direction::forward);
// Of each element the sum of its line along `dim` so far, its own value included.
Tensor cumsum(const Tensor& x, int dim, Direction direction = Direction::forward);
// The maxima along the diagonals of the plane of two neighbouring dimensions, `rows_dim` and the
// one behind it. Each diagonal begins at the edge that the two directions lead away from.
Tensor cummax_diagonal(const Tensor& x, int rows_dim, Direction along_rows, Direction along_cols);

}  // namespace hrm

// Sums of products in Einstein's notation.
//
//     einsum("ij,jk->ik", {a, b});    // a product of matrices
//     einsum("bhqd,bhkd->bhqk", {q, k});
//     einsum("ii->", {a});            // an Error: a letter comes once in an operand
#pragma once

#include <string>

#include "autograd/node.h"

namespace hrm {

// A letter for each dimension of each operand; what is not behind the arrow is summed. Without an
// arrow the result has the letters that come once, in the order of the alphabet. Operands are
// combined from left to right, each pair by one matmul(). A letter stands for one size, comes at
// most once in an operand, and there are no ellipses.
Tensor einsum(const std::string& equation, const Tensors& operands);

}  // namespace hrm

// Reductions over one dimension or all of them, softmax, argmax.
//
//     const Tensor x = from_vector<float>({1, 2, 3, 4}, {2, 2});
//     sum(x, 1);   // 3, 7
//     argmax(x);   // 1, 1
#pragma once

#include "autograd/node.h"

namespace hrm {

Tensor sum(const Tensor& x);  // of all elements, shape ()
Tensor sum(const Tensor& x, int dim, bool keepdim = false);
Tensor mean(const Tensor& x, int dim, bool keepdim = false);
// Largest value along `dim`; the gradient goes to its first position.
Tensor max(const Tensor& x, int dim, bool keepdim = false);
// First position of the largest value along the last dimension, i32.
Tensor argmax(const Tensor& x);
// Over the last dimension.
Tensor softmax(const Tensor& x);
Tensor log_softmax(const Tensor& x);

}  // namespace hrm

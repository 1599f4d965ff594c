// Reductions over one dimension, several or all of them, softmax, argmax.
//
//     const Tensor x = from_vector<float>({1, 2, 3, 4}, {2, 2});
//     sum(x, 1);            // 3, 7
//     argmax(x);            // 1, 1
//     softmax(x, {0, 1});   // four numbers that add up to 1
#pragma once

#include <utility>
#include <vector>

#include "autograd/node.h"

namespace hrm {

// Of all elements, shape (). Sums of u8 are i32.
Tensor sum(const Tensor& x);
Tensor sum(const Tensor& x, int dim, bool keepdim = false);
Tensor mean(const Tensor& x);
Tensor mean(const Tensor& x, int dim, bool keepdim = false);
// The variance: the sum of squared distances from the mean, divided by the number of elements less
// `correction` (1 where that is not given).
Tensor var(const Tensor& x);
Tensor var(const Tensor& x, int dim, bool keepdim = false, double correction = 1);
// The largest and the smallest of all elements. NaN is passed over, unless it comes first.
Tensor max(const Tensor& x);
Tensor min(const Tensor& x);
// Largest value along `dim`; the gradient goes to its first position.
Tensor max(const Tensor& x, int dim, bool keepdim = false);
// The smallest, likewise.
Tensor min(const Tensor& x, int dim, bool keepdim = false);
// First position of the largest value along the last dimension, i32.
Tensor argmax(const Tensor& x);
// Over the last dimension, or over `dim`.
Tensor softmax(const Tensor& x);
Tensor softmax(const Tensor& x, int dim);
Tensor log_softmax(const Tensor& x);
Tensor log_softmax(const Tensor& x, int dim);

// The k largest values along the last dimension in descending order, [..., k], and their positions,
// i32. Equal values come as they lie, NaN comes first. The gradient goes to where a value was.
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k);

// Over several dimensions at once, each named once, in any order and at least one. Largest and
// smallest values are found in row-major order of the elements. (Written as {}, an empty list would
// be the number 0.)
using Dims = std::vector<int>;
Tensor sum(const Tensor& x, const Dims& dims, bool keepdim = false);
Tensor mean(const Tensor& x, const Dims& dims, bool keepdim = false);
Tensor max(const Tensor& x, const Dims& dims, bool keepdim = false);
Tensor min(const Tensor& x, const Dims& dims, bool keepdim = false);
Tensor softmax(const Tensor& x, const Dims& dims);
Tensor log_softmax(const Tensor& x, const Dims& dims);
// log(sum(exp(x))) without overflow. Where all values are -infinity the result is, too, and the
// gradient is NaN.
Tensor logsumexp(const Tensor& x, const Dims& dims, bool keepdim = false);
// sum(x mask) / (sum(mask) + eps), the mask (of x's dtype, which broadcasts to x) holding weights.
Tensor masked_mean(const Tensor& x, const Tensor& mask, const Dims& dims, bool keepdim = false,
                   double eps = 0);
// (x - mean) / sqrt(variance + eps), mean and variance (of the population) over `dims`: every
// channel by itself, over all its rows, if these are all dimensions but the last.
Tensor standardize(const Tensor& x, const Dims& dims, double eps = 1e-5);

}  // namespace hrm

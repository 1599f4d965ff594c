// Selecting by index and its adjoint. Indices are i32 and checked; gradients of repeated indices
// are summed in order, without atomics.
//
//     const Tensor y = embedding(table, ids);   // [n, dim], i32 [batch, seq] -> [batch, seq, dim]
#pragma once

#include "autograd/node.h"

namespace hrm {

// y[i..., :] = scale * table[ids[i...], :]; table [n, dim]. In bf16, `table` is the f32 leaf that
// receives an f32 gradient and `copy` its bf16 image, which is what is read (as in linear()).
Tensor embedding(const Tensor& table, const Tensor& ids, double scale = 1, const Tensor& copy = {});
// 1 where a class is named, 0 elsewhere: i32 ids [...] -> [..., classes].
Tensor one_hot(const Tensor& ids, int64_t classes, DType dtype = DType::f32);
// y[..., j] = x[..., index[..., j]].
Tensor gather_last(const Tensor& x, const Tensor& index);
// y [rows, dim] = 0; y[ids[i], :] += source[i, :]; ids [n], source [n, dim].
Tensor scatter_add(const Tensor& source, const Tensor& ids, int64_t rows);

}  // namespace hrm

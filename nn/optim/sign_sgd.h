// Sparse SignSGD for the puzzle table.
//
//     const Tensor rows = table.rows(ids, true);
//     backward(loss_of(rows));
//     sign_sgd_step(table, rows.grad(), ids, 1e-2, 0.1);
#pragma once

#include "nn/layers.h"

namespace hrm {
inline namespace nn {

// For every distinct id: row = row (1 - lr wd) - lr sign(sum of the gradients of its batch rows).
// `gradient` [batch, dim] belongs to `ids` [batch]; rows of other ids do not change. Only tests
// call this form.
void sign_sgd_step(SparseEmbedding& table, const Tensor& gradient, const Tensor& ids, double lr,
                   double weight_decay, const Tensor& skip = {});
// The same with 1 - lr wd and lr in device memory, f64 [2]: the form that training calls.
void sign_sgd_update(SparseEmbedding& table, const Tensor& gradient, const Tensor& ids,
                     const Tensor& rates, const Tensor& skip = {});
}  // namespace nn
}  // namespace hrm

#include "nn/optim/sign_sgd.h"

#include "kernels/optimizer.h"

namespace hrm {
inline namespace nn {

void sign_sgd_step(SparseEmbedding& table, const Tensor& gradient, const Tensor& ids, double lr,
                   double weight_decay, const Tensor& skip) {
  const Tensor rates = from_vector<double>({1 - lr * weight_decay, lr}, {2});
  sign_sgd_update(table, gradient, ids, rates.to(table.weights.device()), skip);
}

void sign_sgd_update(SparseEmbedding& table, const Tensor& gradient, const Tensor& ids,
                     const Tensor& rates, const Tensor& skip) {
  const Tensor& w = table.weights;
  HRM_CHECK(gradient.shape() == Shape({ids.numel(), w.size(1)}) && gradient.dtype() == w.dtype(),
            "[sign_sgd] gradient must be ", w.dtype(), " [batch, dim] = (", ids.numel(), ", ",
            w.size(1), "), got ", gradient.dtype(), gradient.shape());
  const Tensor g = gradient.contiguous();
  HRM_DISPATCH(sign_sgd_rows, w.context(), w.dtype(), w.data(), g.data(), ids.data<int32_t>(),
               ids.numel(), w.size(1), rates.data<double>(),
               skip.defined() ? skip.data<int32_t>() : nullptr);
  w.storage().bump_version();
}

}  // namespace nn
}  // namespace hrm

#include "nn/loss.h"

#include "autograd/ops/ops.h"

namespace hrm {
inline namespace nn {

Tensor mse_loss(const Tensor& input, const Tensor& target) {
  HRM_CHECK(input.shape() == target.shape(), "[mse_loss] both must have one shape, got ",
            input.shape(), " and ", target.shape());
  return mean(square(input - target));
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  const Tensor losses = cross_entropy(LossType::softmax_cross_entropy, logits, labels);
  const Tensor counted = cast(labels != kIgnoreLabel, losses.dtype());
  return sum(losses) / clamp(sum(counted), 1, static_cast<double>(labels.numel()) + 1);
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target) {
  return mean(bce_with_logits(logits, target));
}

}  // namespace nn
}  // namespace hrm

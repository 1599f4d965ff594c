// Losses of whole batches, as PyTorch's functions of these names: means over all elements.
// autograd/ops/loss.h has them element by element.
//
//     const Tensor loss = cross_entropy(net.forward(images), labels);
//     loss.backward();
#pragma once

#include "autograd/node.h"

namespace hrm {
inline namespace nn {

// The mean of (input - target)^2; both of one shape.
Tensor mse_loss(const Tensor& input, const Tensor& target);
// The mean of -log softmax(logits)[label] over all labels that are not kIgnoreLabel (-100), or 0 if
// there are none: logits [..., classes], i32 labels [...]. The classes are the last dimension.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);
// The mean binary cross entropy of sigmoid(logits) against targets in [0, 1]; both of one shape and
// type. No gradient for the target.
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target);

}  // namespace nn
}  // namespace hrm

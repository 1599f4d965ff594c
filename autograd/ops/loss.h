// Losses, one for each element. The caller sums and divides.
//
//     const Tensor losses = cross_entropy(LossType::softmax_cross_entropy, logits, labels);
//     backward(sum(losses));
#pragma once

#include "autograd/node.h"
#include "kernels/loss.h"

namespace hrm {

// -log p(label) of logits [..., vocab] and i32 labels [...]; 0 where label == kIgnoreLabel. The
// result has loss_dtype(kind, logits.dtype()).
Tensor cross_entropy(LossType kind, const Tensor& logits, const Tensor& labels);
Tensor cross_entropy_reference(LossType kind, const Tensor& logits, const Tensor& labels);
// The stablemax transform s(x) = x + 1 for x >= 0, 1 / (1 - x + 1e-30) below.
Tensor stablemax_transform(const Tensor& x);
// Binary cross entropy of logits against targets in [0, 1], f32 or f64, times `weight` (of the same
// shape) where that is given. No gradient for target and weight.
Tensor bce_with_logits(const Tensor& logits, const Tensor& target, const Tensor& weight = {});

}  // namespace hrm

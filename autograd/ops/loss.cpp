#include "autograd/ops/loss.h"

#include "autograd/grad_mode.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/gather.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/unary.h"
#include "autograd/ops/view.h"

namespace hrm {

Tensor cross_entropy(LossType kind, const Tensor& input, const Tensor& targets) {
  HRM_CHECK(input.ndim() >= 1 && targets.shape() == input.shape().without(input.ndim() - 1) &&
                targets.dtype() == DType::i32,
            "[cross_entropy] needs logits [..., vocab] and i32 labels [...], got ", input.dtype(),
            input.shape(), " and ", targets.dtype(), targets.shape());
  check_same_device("cross_entropy", {&input, &targets});
  const Tensor logits = dense(input), labels = targets.contiguous();
  const int64_t vocab = logits.shape().back(), rows = labels.numel();
  if (labels.device() == Device::cpu)
    for (int64_t r = 0; r < rows; ++r) {
      const int32_t label = labels.data<int32_t>()[r];
      HRM_CHECK(label == kIgnoreLabel || (label >= 0 && label < vocab), "[cross_entropy] label ", r,
                " must be in 0..", vocab - 1, " or ", kIgnoreLabel, ", got ", label);
    }
  if (!fusion_enabled()) return cross_entropy_reference(kind, input, targets);
  const DType type = logits.dtype();
  Tensor loss = empty(labels.shape(), loss_dtype(kind, type), logits.device());
  HRM_DISPATCH(cross_entropy, logits.context(), kind, type, loss.data(), logits.data(),
               labels.data<int32_t>(), rows, vocab);
  return record("cross_entropy", loss, {input}, {{"logits", logits}, {"labels", labels}},
                [kind, rows, vocab](const Saved& saved, const Tensor& grad) {
                  const Tensor dloss = grad.contiguous(), &logits = saved["logits"];
                  Tensor dlogits = empty_like(logits);
                  HRM_DISPATCH(cross_entropy_backward, logits.context(), kind, logits.dtype(),
                               dlogits.data(), dloss.data(), logits.data(),
                               saved["labels"].data<int32_t>(), rows, vocab);
                  return Tensors{dlogits};
                });
}

Tensor stablemax_transform(const Tensor& x) {
  const Tensor positive = compare(CompareOp::ge, x, 0.0);
  // The branch not taken sees 0, where both are smooth: no 0 * inf in the gradient.
  const Tensor zero = zeros({}, x.dtype(), x.device()), one = ones({}, x.dtype(), x.device());
  return where(positive, x + 1, one / ((1.0 - where(positive, zero, x)) + 1e-30));
}

Tensor cross_entropy_reference(LossType kind, const Tensor& logits, const Tensor& labels) {
  const Tensor wide = cast(logits, loss_dtype(kind, logits.dtype()));
  const Tensor valid = compare(CompareOp::ge, labels, 0.0);
  const Tensor index = maximum(labels, zeros({}, DType::i32, labels.device()))
                           .view(labels.shape().inserted(labels.ndim(), 1));
  Tensor log_p;
  if (kind == LossType::softmax_cross_entropy) {
    log_p = log_softmax(wide);
  } else {
    const Tensor s = stablemax_transform(wide);
    log_p = log(s / sum(s, -1, true));
  }
  const Tensor picked = reshape(gather_last(log_p, index), labels.shape());
  return where(valid, -picked, zeros({}, wide.dtype(), labels.device()));
}

Tensor bce_with_logits(const Tensor& input, const Tensor& targets, const Tensor& weights) {
  for (const Tensor* other : {&targets, &weights})
    HRM_CHECK(
        !other->defined() || (input.shape() == other->shape() && input.dtype() == other->dtype()),
        "[bce_with_logits] logits, target and weight must agree, got ", input.dtype(),
        input.shape(), " and ", other->dtype(), other->shape());
  check_same_device("bce_with_logits", {&input, &targets, &weights});
  require_not_recording("bce_with_logits target", {targets});
  if (weights.defined()) require_not_recording("bce_with_logits weight", {weights});
  const Tensor logits = dense(input), target = targets.contiguous();
  const Tensor weight = weights.defined() ? weights.contiguous() : Tensor();
  Tensor loss = empty_like(logits);
  HRM_DISPATCH(bce_with_logits, loss.context(), loss.dtype(), loss.data(), logits.data(),
               target.data(), weight.defined() ? weight.data() : nullptr, loss.numel());
  return record("bce_with_logits", loss, {input},
                {{"logits", logits}, {"target", target}, {"weight", weight}},
                [](const Saved& saved, const Tensor& grad) {
                  const Tensor dloss = grad.contiguous(), &logits = saved["logits"];
                  const Tensor& weight = saved["weight"];
                  Tensor dlogits = empty_like(logits);
                  HRM_DISPATCH(bce_with_logits_backward, logits.context(), logits.dtype(),
                               dlogits.data(), dloss.data(), logits.data(), saved["target"].data(),
                               weight.defined() ? weight.data() : nullptr, logits.numel());
                  return Tensors{dlogits};
                });
}

}  // namespace hrm

#include "autograd/ops/dropout.h"

#include "autograd/ops/arithmetic.h"

namespace hrm {
namespace {

Tensor drop_elements(const Tensor& x, const DropoutStream& drop, const Tensor& residual) {
  Tensor y = empty_like(x);
  HRM_DISPATCH(dropout, x.context(), x.dtype(), y.data(), x.data(),
               residual.defined() ? residual.data() : nullptr, x.numel(), drop.rule());
  return y;
}

}  // namespace

DropoutRule DropoutStream::rule() const {
  HRM_CHECK(p >= 0 && p < 1, "[dropout] p must be in [0, 1), got ", p);
  HRM_CHECK(call < 1u << 20, "[dropout] a step has at most 2^20 calls, this is number ", call);
  HRM_CHECK(!step.defined() || (step.dtype() == DType::i32 && step.numel() == 1),
            "[dropout] the step must be i32(1), got ", step.dtype(), step.shape());
  const double rounded = static_cast<double>(dropout_threshold(p)) / 65536;
  return {rounded, seed, call, step.defined() ? step.data<int32_t>() : nullptr};
}

Tensor dropout(const Tensor& input, const DropoutStream& drop, const Tensor& residual) {
  HRM_CHECK(!residual.defined() ||
                (residual.shape() == input.shape() && residual.dtype() == input.dtype()),
            "[dropout] the residual must be ", input.dtype(), input.shape(), ", got ",
            residual.dtype(), residual.shape());
  check_same_device("dropout", {&input, &residual, &drop.step});
  if (drop.rule().p == 0) return residual.defined() ? input + residual : input;
  Tensors inputs = {input};
  if (residual.defined()) inputs.push_back(residual);
  const Tensor y =
      drop_elements(dense(input), drop, residual.defined() ? dense(residual) : Tensor());
  return record("dropout", y, inputs, {{"step", drop.step}},
                [drop = DropoutStream{drop.p, drop.seed, {}, drop.call}](const Saved& saved,
                                                                         const Tensor& dy) {
                  DropoutStream again = drop;
                  again.step = saved["step"];
                  Tensors grads(saved.inputs());
                  if (saved.needs(0)) grads[0] = dropout(dy, again);
                  if (grads.size() > 1) grads[1] = dy;
                  return grads;
                });
}

}  // namespace hrm

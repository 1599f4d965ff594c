#include "autograd/ops/swiglu.h"

#include "autograd/grad_mode.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/unary.h"
#include "autograd/ops/view.h"
#include "kernels/swiglu.h"

namespace hrm {

Tensor swiglu(const Tensor& input) {
  HRM_CHECK(input.ndim() >= 1 && input.shape().back() > 0 && input.shape().back() % 2 == 0,
            "[swiglu] the last dimension must be even, got ", input.shape());
  if (!fusion_enabled()) return swiglu_reference(input);
  const Tensor gate_up = dense(input);
  const int64_t inter = gate_up.shape().back() / 2, rows = gate_up.numel() / (2 * inter);
  Tensor y =
      empty(gate_up.shape().with(gate_up.ndim() - 1, inter), gate_up.dtype(), gate_up.device());
  HRM_DISPATCH(swiglu, y.context(), y.dtype(), y.data(), gate_up.data(), rows, inter);
  return record("swiglu", y, {input}, {{"gate_up", gate_up}},
                [](const Saved& saved, const Tensor& dy) {
                  return Tensors{swiglu_gradient(saved["gate_up"], dy)};
                });
}

Tensor swiglu_gradient(const Tensor& gate_up, const Tensor& grad) {
  require_not_recording("swiglu_gradient", {gate_up, grad});
  const Tensor dy = grad.contiguous();
  const int64_t inter = gate_up.shape().back() / 2, rows = gate_up.numel() / (2 * inter);
  Tensor dgate_up = empty_like(gate_up);
  HRM_DISPATCH(swiglu_backward, dy.context(), dy.dtype(), dgate_up.data(), gate_up.data(),
               dy.data(), rows, inter);
  return dgate_up;
}

Tensor swiglu_reference(const Tensor& gate_up) {
  const int64_t inter = gate_up.shape().back() / 2;
  return silu(slice(gate_up, -1, 0, inter)) * slice(gate_up, -1, inter, 2 * inter);
}

}  // namespace hrm

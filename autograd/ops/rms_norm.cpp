#include "autograd/ops/rms_norm.h"

#include "autograd/grad_mode.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/unary.h"
#include "kernels/rms_norm.h"

namespace hrm {
namespace {

Tensor backward_rule(const Saved& saved, const Tensor& grad) {
  const Tensor dy = grad.contiguous(), &y = saved["y"];
  Tensor dh = empty_like(y);
  const int64_t cols = y.shape().back();
  HRM_DISPATCH(rms_norm_backward, y.context(), y.dtype(), dh.data(), y.data(), saved["rstd"].data(),
               dy.data(), y.numel() / cols, cols);
  return dh;
}

// y and rstd of x (+ residual, which may be undefined).
std::pair<Tensor, Tensor> forward(const Tensor& x, const Tensor& residual, double eps) {
  HRM_CHECK(x.ndim() >= 1 && x.shape().back() >= 1,
            "[rms_norm] the last dimension must not be empty, "
            "got shape ",
            x.shape());
  check_same_device("rms_norm", {&x, &residual});
  const int64_t cols = x.shape().back(), rows = x.numel() / cols;
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  Tensor rstd = empty({rows}, accumulate_type(x.dtype()), x.device());
  HRM_DISPATCH(rms_norm, x.context(), x.dtype(), y.data(), rstd.data(), x.data(),
               residual.defined() ? residual.data() : nullptr, rows, cols, eps);
  return {y, rstd};
}

}  // namespace

Tensor rms_norm(const Tensor& h, double eps) {
  if (!fusion_enabled()) return rms_norm_reference(h, eps);
  const auto [y, rstd] = forward(dense(h), {}, eps);
  return record(
      "rms_norm", y, {h}, {{"y", y}, {"rstd", rstd}},
      [](const Saved& saved, const Tensor& dy) { return Tensors{backward_rule(saved, dy)}; });
}

Tensor add_rms_norm(const Tensor& x, const Tensor& residual, double eps) {
  HRM_CHECK(x.shape() == residual.shape() && x.dtype() == residual.dtype(),
            "[add_rms_norm] both inputs must have one shape and dtype, got ", x.dtype(), x.shape(),
            " and ", residual.dtype(), residual.shape());
  if (!fusion_enabled()) return rms_norm_reference(x + residual, eps);
  const auto [y, rstd] = forward(dense(x), dense(residual), eps);
  return record("add_rms_norm", y, {x, residual}, {{"y", y}, {"rstd", rstd}},
                [](const Saved& saved, const Tensor& dy) {
                  const Tensor dh = backward_rule(saved, dy);
                  return Tensors{dh, dh};
                });
}

Tensor rms_norm_reference(const Tensor& h, double eps) {
  const Tensor wide = cast(h, accumulate_type(h.dtype()));
  return cast(wide * rsqrt(mean(square(wide), -1, true) + eps), h.dtype());
}

}  // namespace hrm

#include "autograd/ops/layer_norm.h"

#include "autograd/grad_mode.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/unary.h"
#include "kernels/layer_norm.h"

namespace hrm {

Tensor layer_norm(const Tensor& input, const Tensor& weight, const Tensor& bias, double eps) {
  const DType wide = accumulate_type(input.dtype());
  const int64_t cols = input.ndim() >= 1 ? input.shape().back() : 0;
  HRM_CHECK(cols >= 1, "[layer_norm] the last dimension must not be empty, got shape ",
            input.shape());
  HRM_CHECK(weight.shape() == Shape({cols}) && bias.shape() == weight.shape() &&
                weight.dtype() == wide && bias.dtype() == wide,
            "[layer_norm] weight and bias of ", input.dtype(), input.shape(), " must be ", wide,
            "(", cols, "), got ", weight.dtype(), weight.shape(), " and ", bias.dtype(),
            bias.shape());
  check_same_device("layer_norm", {&input, &weight, &bias});
  if (!fusion_enabled()) return layer_norm_reference(input, weight, bias, eps);
  const Tensor x = dense(input), w = dense(weight), b = dense(bias);
  const int64_t rows = x.numel() / cols;
  Tensor y = empty_like(x), mean = empty({rows}, wide, x.device()), rstd = empty_like(mean);
  HRM_DISPATCH(layer_norm, x.context(), x.dtype(), y.data(), mean.data(), rstd.data(), x.data(),
               w.data(), b.data(), rows, cols, eps);
  return record("layer_norm", y, {input, weight, bias},
                {{"x", x}, {"mean", mean}, {"rstd", rstd}, {"weight", w}},
                [rows, cols](const Saved& saved, const Tensor& grad) {
                  const Tensor dy = grad.contiguous(), &x = saved["x"], &w = saved["weight"];
                  Tensor dx = empty_like(x), dweight = empty_like(w), dbias = empty_like(w);
                  HRM_DISPATCH(layer_norm_backward, x.context(), x.dtype(), dx.data(),
                               dweight.data(), dbias.data(), dy.data(), x.data(),
                               saved["mean"].data(), saved["rstd"].data(), w.data(), rows, cols);
                  return Tensors{dx, dweight, dbias};
                });
}

Tensor layer_norm_reference(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  const Tensor wide = cast(x, weight.dtype());
  const Tensor deviation = wide - mean(wide, -1, true);
  const Tensor rstd = rsqrt(mean(square(deviation), -1, true) + eps);
  return cast(deviation * rstd * weight + bias, x.dtype());
}

}  // namespace hrm

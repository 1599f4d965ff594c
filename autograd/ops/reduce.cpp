#include "autograd/ops/reduce.h"

#include "autograd/grad_mode.h"
#include "autograd/ops/arithmetic.h"
#include "kernels/reduce.h"

namespace hrm {
namespace {

// x seen as [outer, reduced, inner] around `dim`.
struct Span {
  int64_t outer = 1, reduced = 1, inner = 1;
  Span(const Shape& shape, int dim) : reduced(shape[dim]) {
    for (int i = 0; i < dim; ++i) outer *= shape[i];
    for (int i = dim + 1; i < shape.ndim(); ++i) inner *= shape[i];
  }
};

Shape reduced_shape(const Shape& shape, int dim, bool keepdim) {
  return keepdim ? shape.with(dim, 1) : shape.without(dim);
}

Tensor softmax_impl(const Tensor& input, bool log) {
  HRM_CHECK(input.ndim() >= 1, "[softmax] input must have a dimension, got shape ", input.shape());
  const Tensor x = dense(input);
  const int64_t cols = x.shape().back(), rows = cols ? x.numel() / cols : 0;
  Tensor y = empty_like(x);
  HRM_DISPATCH(softmax, x.context(), x.dtype(), y.data(), x.data(), rows, cols, log);
  return record(log ? "log_softmax" : "softmax", y, {input}, {{"y", y}},
                [rows, cols, log](const Saved& saved, const Tensor& grad) {
                  const Tensor dy = grad.contiguous(), &y = saved["y"];
                  Tensor dx = empty_like(y);
                  HRM_DISPATCH(softmax_backward, y.context(), y.dtype(), dx.data(), y.data(),
                               dy.data(), rows, cols, log);
                  return Tensors{dx};
                });
}

}  // namespace

Tensor sum(const Tensor& x) {
  Tensor y;
  {
    const NoGradGuard no_grad;
    y = x.contiguous().view({x.numel()}).summed(0, false);
  }
  return record("sum", y, {x}, {}, [shape = x.shape()](const Saved&, const Tensor& dy) {
    return Tensors{dy.expanded(shape)};
  });
}

Tensor sum(const Tensor& x, int dim, bool keepdim) { return x.summed(dim, keepdim); }

Tensor mean(const Tensor& x, int dim, bool keepdim) {
  return affine(sum(x, dim, keepdim), 1.0 / static_cast<double>(x.size(dim)));
}

Tensor max(const Tensor& input, int dim, bool keepdim) {
  dim = wrap_dim(dim, input.ndim(), "max");
  const Tensor x = dense(input);
  const Span s(x.shape(), dim);
  HRM_CHECK(s.reduced >= 1, "[max] dimension ", dim, " of ", x.shape(), " is empty");
  Tensor y = empty(reduced_shape(x.shape(), dim, keepdim), x.dtype(), x.device());
  Tensor index = empty(y.shape(), DType::i32, x.device());
  HRM_DISPATCH(max, x.context(), x.dtype(), y.data(), index.data<int32_t>(), x.data(), s.outer,
               s.reduced, s.inner);
  return record("max", y, {input}, {{"index", index}},
                [s, shape = x.shape()](const Saved& saved, const Tensor& grad) {
                  const Tensor dy = grad.contiguous();
                  Tensor dx = empty(shape, dy.dtype(), dy.device());
                  HRM_DISPATCH(max_backward, dy.context(), dy.dtype(), dx.data(), dy.data(),
                               saved["index"].data<int32_t>(), s.outer, s.reduced, s.inner);
                  return Tensors{dx};
                });
}

Tensor argmax(const Tensor& input) {
  HRM_CHECK(input.ndim() >= 1 && input.shape().back() >= 1,
            "[argmax] the last dimension must not be empty, got shape ", input.shape());
  const Tensor x = dense(input);
  const Span s(x.shape(), x.ndim() - 1);
  Tensor value = empty(reduced_shape(x.shape(), x.ndim() - 1, false), x.dtype(), x.device());
  Tensor index = empty(value.shape(), DType::i32, x.device());
  HRM_DISPATCH(max, x.context(), x.dtype(), value.data(), index.data<int32_t>(), x.data(), s.outer,
               s.reduced, s.inner);
  return index;
}

Tensor softmax(const Tensor& x) { return softmax_impl(x, false); }
Tensor log_softmax(const Tensor& x) { return softmax_impl(x, true); }

}  // namespace hrm

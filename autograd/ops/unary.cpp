#include "autograd/ops/unary.h"

#include "kernels/formulas.h"

namespace hrm {
namespace {

const char* name_of(UnaryOp op) {
  switch (op) {
#define HRM_NAME(name, Op) \
  case UnaryOp::name:      \
    return #name;
    HRM_UNARY_OPS(HRM_NAME)
#undef HRM_NAME
  }
  return "unary";
}

}  // namespace

Tensor unary(UnaryOp op, const Tensor& input) {
  HRM_CHECK(is_floating(input.dtype()), "[", name_of(op), "] needs a floating dtype, got ",
            input.dtype(), ". HINT: cast() it first");
  const Tensor x = dense(input);
  Tensor y = empty_like(x);
  HRM_DISPATCH(unary, x.context(), op, x.dtype(), y.data(), x.data(), x.numel());
  // The derivative needs either the input or the output; only that one is kept.
  const bool from_output = uses_output(op);
  return record(name_of(op), y, {input}, {{from_output ? "y" : "x", from_output ? y : x}},
                [op, from_output](const Saved& saved, const Tensor& grad) {
                  const Tensor& kept = saved[from_output ? "y" : "x"];
                  const Tensor dy = grad.contiguous();
                  Tensor dx = empty_like(dy);
                  HRM_DISPATCH(unary_backward, dy.context(), op, dy.dtype(), dx.data(),
                               from_output ? nullptr : kept.data(),
                               from_output ? kept.data() : nullptr, dy.data(), dy.numel());
                  return Tensors{dx};
                });
}

Tensor cast(const Tensor& x, DType dtype) { return x.to(dtype); }

}  // namespace hrm

#include "autograd/ops/arithmetic.h"

#include "autograd/ops/reduce.h"

namespace hrm {
namespace {

Tensor run_binary(BinaryOp op, const char* name, const Tensor& a, const Tensor& b) {
  CHECK(a.dtype() == b.dtype(), "[", name, "] operands must have one dtype, got ", a.dtype(),
        " and ", b.dtype(), ". HINT: cast() one of them");
  check_same_device(name, {&a, &b});
  Tensor y = empty(broadcast_shapes(a.shape(), b.shape(), name), a.dtype(), a.device());
  HRM_DISPATCH(binary, y.context(), op, y.dtype(), y.data(), a.data(), b.data(),
               layout_of(y.shape(), {&a, &b}));
  return y;
}

}  // namespace

Tensor sum_to(const Tensor& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  Tensor result = g.contiguous();
  while (result.ndim() > shape.ndim()) result = reduce_sum(result, 0, false);
  for (int i = 0; i < shape.ndim(); ++i)
    if (shape[i] == 1 && result.shape()[i] != 1) result = reduce_sum(result, i, true);
  return result;
}

Tensor add(const Tensor& a, const Tensor& b) {
  return record("add", run_binary(BinaryOp::add, "add", a, b), {a, b}, {},
                [sa = a.shape(), sb = b.shape()](const Saved&, const Tensor& dy) {
                  return Tensors{sum_to(dy, sa), sum_to(dy, sb)};
                });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  return record("sub", run_binary(BinaryOp::sub, "sub", a, b), {a, b}, {},
                [sa = a.shape(), sb = b.shape()](const Saved&, const Tensor& dy) {
                  return Tensors{sum_to(dy, sa), sum_to(-dy, sb)};
                });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  return record("mul", run_binary(BinaryOp::mul, "mul", a, b), {a, b}, {{"a", a}, {"b", b}},
                [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  return Tensors{saved.needs(0) ? sum_to(dy * b, a.shape()) : Tensor(),
                                 saved.needs(1) ? sum_to(dy * a, b.shape()) : Tensor()};
                });
}

Tensor div(const Tensor& a, const Tensor& b) {
  return record("div", run_binary(BinaryOp::div, "div", a, b), {a, b}, {{"a", a}, {"b", b}},
                [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  const Tensor da = dy / b;
                  return Tensors{sum_to(da, a.shape()),
                                 saved.needs(1) ? sum_to(-(da * (a / b)), b.shape()) : Tensor()};
                });
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  return record("maximum", run_binary(BinaryOp::maximum, "maximum", a, b), {a, b},
                {{"a", a}, {"b", b}}, [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  const Tensor mask = compare(CompareOp::ge, a, b),
                               zero = zeros({}, dy.dtype(), dy.device());
                  return Tensors{sum_to(where(mask, dy, zero), a.shape()),
                                 sum_to(where(mask, zero, dy), b.shape())};
                });
}

Tensor affine(const Tensor& x, double scale, double shift) {
  const Tensor dense = x.contiguous();
  Tensor y = empty_like(dense);
  HRM_DISPATCH(affine, y.context(), y.dtype(), y.data(), dense.data(), y.numel(), scale, shift);
  return record("affine", y, {x}, {}, [scale](const Saved&, const Tensor& dy) {
    return Tensors{scale == 1 ? dy : affine(dy, scale)};
  });
}

Tensor atan2(const Tensor& m, const Tensor& d) {
  require_not_recording("atan2", {m, d});
  return run_binary(BinaryOp::atan2, "atan2", m, d);
}

Tensor compare(CompareOp op, const Tensor& a, const Tensor& b) {
  CHECK(a.dtype() == b.dtype(), "[compare] operands must have one dtype, got ", a.dtype(), " and ",
        b.dtype(), ". HINT: cast() one of them");
  check_same_device("compare", {&a, &b});
  Tensor y = empty(broadcast_shapes(a.shape(), b.shape(), "compare"), DType::u8, a.device());
  HRM_DISPATCH(compare, y.context(), op, a.dtype(), y.data<uint8_t>(), a.data(), b.data(),
               layout_of(y.shape(), {&a, &b}));
  return y;
}

Tensor compare(CompareOp op, const Tensor& a, double b) {
  return compare(op, a, full({}, b, a.dtype(), a.device()));
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  CHECK(condition.dtype() == DType::u8, "[where] the condition must be u8, got ",
        condition.dtype());
  CHECK(a.dtype() == b.dtype(), "[where] both values must have one dtype, got ", a.dtype(), " and ",
        b.dtype(), ". HINT: cast() one of them");
  const Shape shape =
      broadcast_shapes(broadcast_shapes(a.shape(), b.shape(), "where"), condition.shape(), "where");
  check_same_device("where", {&condition, &a, &b});
  Tensor y = empty(shape, a.dtype(), a.device());
  HRM_DISPATCH(where, y.context(), y.dtype(), y.data(), condition.data<uint8_t>(), a.data(),
               b.data(), layout_of(shape, {&condition, &a, &b}));
  return record("where", y, {a, b}, {{"condition", condition}},
                [sa = a.shape(), sb = b.shape()](const Saved& saved, const Tensor& dy) {
                  const Tensor& condition = saved["condition"];
                  const Tensor zero = zeros({}, dy.dtype(), dy.device());
                  return Tensors{
                      saved.needs(0) ? sum_to(where(condition, dy, zero), sa) : Tensor(),
                      saved.needs(1) ? sum_to(where(condition, zero, dy), sb) : Tensor()};
                });
}

}  // namespace hrm

#include "autograd/ops/arithmetic.h"

#include "autograd/grad_mode.h"

namespace hrm {
namespace {

Tensor run_binary(BinaryOp op, const char* name, const Tensor& a, const Tensor& b) {
  HRM_CHECK(a.dtype() == b.dtype(), "[", name, "] operands must have one dtype, got ", a.dtype(),
            " and ", b.dtype(), ". HINT: cast() one of them");
  check_same_device(name, {&a, &b});
  Tensor y = empty(broadcast_shapes(a.shape(), b.shape(), name), a.dtype(), a.device());
  HRM_DISPATCH(binary, y.context(), op, y.dtype(), y.data(), a.data(), b.data(),
               layout_of(y.shape(), {&a, &b}));
  return y;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return record("add", run_binary(BinaryOp::add, "add", a, b), {a, b}, {},
                [sa = a.shape(), sb = b.shape()](const Saved&, const Tensor& dy) {
                  return Tensors{dy.summed_to(sa), dy.summed_to(sb)};
                });
}

Tensor add3(const Tensor& a, const Tensor& b, const Tensor& c) {
  if (!fusion_enabled()) return a + (b + c);
  HRM_CHECK(a.shape() == b.shape() && b.shape() == c.shape() && a.dtype() == b.dtype() &&
                b.dtype() == c.dtype(),
            "[add3] operands must have one shape and dtype, got ", a.dtype(), a.shape(), ", ",
            b.dtype(), b.shape(), " and ", c.dtype(), c.shape());
  check_same_device("add3", {&a, &b, &c});
  const Tensor p = dense(a), q = dense(b), r = dense(c);
  Tensor y = empty_like(p);
  HRM_DISPATCH(add3, y.context(), y.dtype(), y.data(), p.data(), q.data(), r.data(), y.numel());
  return record("add3", y, {a, b, c}, {}, [](const Saved&, const Tensor& dy) {
    return Tensors{dy, dy, dy};
  });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  return record("sub", run_binary(BinaryOp::sub, "sub", a, b), {a, b}, {},
                [sa = a.shape(), sb = b.shape()](const Saved&, const Tensor& dy) {
                  return Tensors{dy.summed_to(sa), (-dy).summed_to(sb)};
                });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  return record("mul", run_binary(BinaryOp::mul, "mul", a, b), {a, b}, {{"a", a}, {"b", b}},
                [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  return Tensors{saved.needs(0) ? (dy * b).summed_to(a.shape()) : Tensor(),
                                 saved.needs(1) ? (dy * a).summed_to(b.shape()) : Tensor()};
                });
}

Tensor div(const Tensor& a, const Tensor& b) {
  return record("div", run_binary(BinaryOp::div, "div", a, b), {a, b}, {{"a", a}, {"b", b}},
                [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  const Tensor da = dy / b;
                  return Tensors{
                      da.summed_to(a.shape()),
                      saved.needs(1) ? (-(da * (a / b))).summed_to(b.shape()) : Tensor()};
                });
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  return record("maximum", run_binary(BinaryOp::maximum, "maximum", a, b), {a, b},
                {{"a", a}, {"b", b}}, [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  const Tensor mask = compare(CompareOp::ge, a, b),
                               zero = zeros({}, dy.dtype(), dy.device());
                  return Tensors{where(mask, dy, zero).summed_to(a.shape()),
                                 where(mask, zero, dy).summed_to(b.shape())};
                });
}

Tensor affine(const Tensor& x, double scale, double shift) {
  const Tensor source = dense(x);
  Tensor y = empty_like(source);
  HRM_DISPATCH(affine, y.context(), y.dtype(), y.data(), source.data(), y.numel(), scale, shift);
  return record("affine", y, {x}, {}, [scale](const Saved&, const Tensor& dy) {
    return Tensors{scale == 1 ? dy : affine(dy, scale)};
  });
}

Tensor atan2(const Tensor& m, const Tensor& d) {
  require_not_recording("atan2", {m, d});
  return run_binary(BinaryOp::atan2, "atan2", m, d);
}

Tensor compare(CompareOp op, const Tensor& a, const Tensor& b) {
  HRM_CHECK(a.dtype() == b.dtype(), "[compare] operands must have one dtype, got ", a.dtype(),
            " and ", b.dtype(), ". HINT: cast() one of them");
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
  HRM_CHECK(condition.dtype() == DType::u8, "[where] the condition must be u8, got ",
            condition.dtype());
  HRM_CHECK(a.dtype() == b.dtype(), "[where] both values must have one dtype, got ", a.dtype(),
            " and ", b.dtype(), ". HINT: cast() one of them");
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
                      saved.needs(0) ? where(condition, dy, zero).summed_to(sa) : Tensor(),
                      saved.needs(1) ? where(condition, zero, dy).summed_to(sb) : Tensor()};
                });
}

}  // namespace hrm

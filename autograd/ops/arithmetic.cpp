#include "autograd/ops/arithmetic.h"

#include "autograd/grad_mode.h"
#include "autograd/ops/unary.h"

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

void require_floating(const char* op, const Tensor& x) {
  HRM_CHECK(is_floating(x.dtype()), "[", op, "] needs a floating dtype, got ", x.dtype(),
            ". HINT: cast() it first");
}

// A constant of x's dtype, where x is.
Tensor constant_like(const Tensor& x, double value) {
  check_number("arithmetic", x.dtype(), value);
  return full({}, value, x.dtype(), x.device());
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return record("add", run_binary(BinaryOp::add, "add", a, b), {a, b}, {},
                [sa = a.shape(), sb = b.shape()](const Saved&, const Tensor& dy) {
                  return Tensors{dy.sum_to(sa), dy.sum_to(sb)};
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
                  return Tensors{dy.sum_to(sa), (-dy).sum_to(sb)};
                });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  return record("mul", run_binary(BinaryOp::mul, "mul", a, b), {a, b}, {{"a", a}, {"b", b}},
                [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  return Tensors{saved.needs(0) ? (dy * b).sum_to(a.shape()) : Tensor(),
                                 saved.needs(1) ? (dy * a).sum_to(b.shape()) : Tensor()};
                });
}

Tensor div(const Tensor& a, const Tensor& b) {
  return record("div", run_binary(BinaryOp::div, "div", a, b), {a, b}, {{"a", a}, {"b", b}},
                [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  const Tensor da = dy / b;
                  return Tensors{da.sum_to(a.shape()),
                                 saved.needs(1) ? (-(da * (a / b))).sum_to(b.shape()) : Tensor()};
                });
}

namespace {
// The larger or the smaller of both; at a tie it is a.
Tensor extreme(BinaryOp op, const char* name, bool largest, const Tensor& a, const Tensor& b) {
  return record(name, run_binary(op, name, a, b), {a, b}, {{"a", a}, {"b", b}},
                [largest](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"], zero = constant_like(dy, 0);
                  const Tensor is_a = largest ? a >= b : a <= b;
                  return Tensors{where(is_a, dy, zero).sum_to(a.shape()),
                                 where(is_a, zero, dy).sum_to(b.shape())};
                });
}
}  // namespace

Tensor maximum(const Tensor& a, const Tensor& b) {
  return extreme(BinaryOp::maximum, "maximum", true, a, b);
}

Tensor minimum(const Tensor& a, const Tensor& b) {
  return extreme(BinaryOp::minimum, "minimum", false, a, b);
}

Tensor pow(const Tensor& a, const Tensor& b) {
  require_floating("pow", a);
  return record("pow", run_binary(BinaryOp::pow, "pow", a, b), {a, b}, {{"a", a}, {"b", b}},
                [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  const Tensor zero = constant_like(dy, 0);
                  Tensors grads(2);
                  if (saved.needs(0))
                    grads[0] = where(b == 0, zero, dy * b * pow(a, b - 1)).sum_to(a.shape());
                  if (saved.needs(1))
                    grads[1] = where(a == 0, zero, dy * pow(a, b) * log(a)).sum_to(b.shape());
                  return grads;
                });
}

Tensor pow(const Tensor& x, double exponent) {
  require_floating("pow", x);
  return exponent == 2 ? square(x) : pow(x, constant_like(x, exponent));
}

Tensor clamp(const Tensor& x, double low, double high) {
  HRM_CHECK(low <= high, "[clamp] the lower bound must not be above the upper one, got ", low,
            " and ", high);
  return minimum(maximum(x, constant_like(x, low)), constant_like(x, high));
}

Tensor affine(const Tensor& x, double scale, double shift) {
  if (!is_floating(x.dtype()))  // a u8 may be turned around, as 1 - mask does
    for (const double number : {scale, shift}) check_number("arithmetic", DType::i32, number);
  const Tensor source = dense(x);
  Tensor y = empty_like(source);
  HRM_DISPATCH(affine, y.context(), y.dtype(), y.data(), source.data(), y.numel(), scale, shift);
  return record("affine", y, {x}, {}, [scale](const Saved&, const Tensor& dy) {
    return Tensors{scale == 1 ? dy : affine(dy, scale)};
  });
}

Tensor operator/(const Tensor& x, double s) {
  // In bf16 the number itself would be rounded.
  return x.dtype() == DType::bf16 ? affine(x, 1 / s) : x / constant_like(x, s);
}
Tensor operator/(double s, const Tensor& x) { return constant_like(x, s) / x; }

namespace {

void check_fits(const char* op, const Tensor& x, const Tensor& result) {
  HRM_CHECK(result.shape() == x.shape(), "[", op, "] a tensor of shape ", x.shape(),
            " cannot hold the result, which has shape ", result.shape());
}

void write_to(const char* op, const Tensor& x, const Tensor& result) {
  check_fits(op, x, result);
  Tensor(x).copy_from(result);
}

// x op= y, where f() = x op y.
template <class F>
Tensor& update(const char* op, Tensor& x, const F& f) {
  const bool alone = x.is_unique();  // f may keep x for its gradient
  const Tensor result = f();
  if (!result.requires_grad() || !grad_enabled()) {
    write_to(op, x, result);
    return x;
  }
  check_fits(op, x, result);
  HRM_CHECK(!x.requires_grad() || !x.autograd()->is_leaf, "[", op,
            "] would change a leaf that requires a gradient. HINT: do it below a NoGradGuard, or "
            "give the result a name of its own");
  HRM_CHECK(alone, "[", op,
            "] another tensor shares the memory of this one, and autograd does not record a write "
            "to it. HINT: write x = x + y, and so on");
  return x = result;
}

}  // namespace

Tensor& operator+=(Tensor& x, const Tensor& y) {
  return update("+=", x, [&] { return x + y; });
}
Tensor& operator-=(Tensor& x, const Tensor& y) {
  return update("-=", x, [&] { return x - y; });
}
Tensor& operator*=(Tensor& x, const Tensor& y) {
  return update("*=", x, [&] { return x * y; });
}
Tensor& operator/=(Tensor& x, const Tensor& y) {
  return update("/=", x, [&] { return x / y; });
}
Tensor& operator+=(Tensor& x, double s) {
  return update("+=", x, [&] { return x + s; });
}
Tensor& operator-=(Tensor& x, double s) {
  return update("-=", x, [&] { return x - s; });
}
Tensor& operator*=(Tensor& x, double s) {
  return update("*=", x, [&] { return x * s; });
}
Tensor& operator/=(Tensor& x, double s) {
  return update("/=", x, [&] { return x / s; });
}
void operator+=(Tensor&& view, const Tensor& y) { write_to("+=", view, view + y); }
void operator-=(Tensor&& view, const Tensor& y) { write_to("-=", view, view - y); }
void operator*=(Tensor&& view, const Tensor& y) { write_to("*=", view, view * y); }
void operator/=(Tensor&& view, const Tensor& y) { write_to("/=", view, view / y); }
void operator+=(Tensor&& view, double s) { write_to("+=", view, view + s); }
void operator-=(Tensor&& view, double s) { write_to("-=", view, view - s); }
void operator*=(Tensor&& view, double s) { write_to("*=", view, view * s); }
void operator/=(Tensor&& view, double s) { write_to("/=", view, view / s); }

Tensor atan2(const Tensor& m, const Tensor& d) {
  require_floating("atan2", m);
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
  return compare(op, a, constant_like(a, b));
}

Tensor operator<(const Tensor& a, double b) { return constant_like(a, b) > a; }
Tensor operator<=(const Tensor& a, double b) { return constant_like(a, b) >= a; }

Tensor logical_not(const Tensor& mask) { return mask == 0; }
Tensor logical_and(const Tensor& a, const Tensor& b) { return where(a, b, constant_like(b, 0)); }
Tensor logical_or(const Tensor& a, const Tensor& b) {
  return where(a, constant_like(b, 1), b != 0);
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
                  return Tensors{saved.needs(0) ? where(condition, dy, zero).sum_to(sa) : Tensor(),
                                 saved.needs(1) ? where(condition, zero, dy).sum_to(sb) : Tensor()};
                });
}

}  // namespace hrm

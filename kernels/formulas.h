// Formulas that every backend computes alike, element by element. `Math` has the backend's exp,
// sigmoid, normal_cdf, sin and cos.
//
//     struct Math {
//       static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
//     };
//     unary_ops::Silu::apply<Math>(2.0);   // 1.7616
#pragma once

#include <cmath>
#include <numbers>

#include "kernels/elementwise.h"

namespace hrm {

// The unary ops, one struct each: the value y of x, the derivative there, and which of x and y the
// derivative is computed from. The other one is not kept for it and must not be read. The list of
// elementwise.h gives each struct its name in UnaryOp.
namespace unary_ops {

struct Neg {
  static constexpr bool uses_output = false;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return -x;
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A, A) {
    return A(-1);
  }
};

struct Exp {
  static constexpr bool uses_output = true;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return Math::exp(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A, A y) {
    return y;
  }
};

struct Log {
  static constexpr bool uses_output = false;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return std::log(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A x, A) {
    return A(1) / x;
  }
};

struct Sqrt {
  static constexpr bool uses_output = true;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return std::sqrt(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A, A y) {
    return A(0.5) / y;
  }
};

struct Rsqrt {
  static constexpr bool uses_output = true;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return A(1) / std::sqrt(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A, A y) {
    return A(-0.5) * y * y * y;
  }
};

struct Sigmoid {
  static constexpr bool uses_output = true;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return Math::sigmoid(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A, A y) {
    return y * (A(1) - y);
  }
};

struct Silu {
  static constexpr bool uses_output = false;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return x * Math::sigmoid(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A x, A) {
    const A s = Math::sigmoid(x);
    return s * (A(1) + x * (A(1) - s));
  }
};

// P(normal <= x).
template <class A>
HRM_HOST_DEVICE inline A normal_cdf(A x) {
  return A(0.5) * (A(1) + std::erf(x / std::numbers::sqrt2_v<A>));
}

// Hendrycks and Gimpel 2016, arXiv 1606.08415: the exact form, with erf.
struct Gelu {
  static constexpr bool uses_output = false;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return x * Math::normal_cdf(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A x, A) {
    const A density =
        Math::exp(A(-0.5) * x * x) * std::numbers::inv_sqrtpi_v<A> / std::numbers::sqrt2_v<A>;
    return Math::normal_cdf(x) + x * density;
  }
};

struct Tanh {
  static constexpr bool uses_output = true;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return std::tanh(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A, A y) {
    return A(1) - y * y;
  }
};

struct Abs {
  static constexpr bool uses_output = false;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return std::abs(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A x, A) {
    return x > 0 ? A(1) : (x < 0 ? A(-1) : A(0));
  }
};

struct Square {
  static constexpr bool uses_output = false;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return x * x;
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A x, A) {
    return A(2) * x;
  }
};

// 0 below 0; NaN stays.
struct Relu {
  static constexpr bool uses_output = false;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return x < 0 ? A(0) : x;
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A x, A) {
    return x > 0 ? A(1) : A(0);
  }
};

struct Sin {
  static constexpr bool uses_output = false;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return Math::sin(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A x, A) {
    return Math::cos(x);
  }
};

struct Cos {
  static constexpr bool uses_output = false;
  template <class Math, class A>
  HRM_HOST_DEVICE static A apply(A x) {
    return Math::cos(x);
  }
  template <class Math, class A>
  HRM_HOST_DEVICE static A derivative(A x, A) {
    return -Math::sin(x);
  }
};

}  // namespace unary_ops

// visit_unary(op, [&]<class Op>() {...}) calls the lambda with the struct of `op`: a loop inside it
// is compiled for each of them, and vectorises where the formula does.
template <class F>
void visit_unary(UnaryOp op, F&& f) {
  switch (op) {
#define HRM_VISIT(name, Op) \
  case UnaryOp::name:       \
    return f.template operator()<unary_ops::Op>();
    HRM_UNARY_OPS(HRM_VISIT)
#undef HRM_VISIT
  }
}

template <class Math, class A>
HRM_HOST_DEVICE A apply(UnaryOp op, A x) {
  switch (op) {
#define HRM_APPLY(name, Op) \
  case UnaryOp::name:       \
    return unary_ops::Op::apply<Math>(x);
    HRM_UNARY_OPS(HRM_APPLY)
#undef HRM_APPLY
  }
  return x;
}

// op'(x), where y = op(x).
template <class Math, class A>
HRM_HOST_DEVICE A derivative(UnaryOp op, A x, A y) {
  switch (op) {
#define HRM_DERIVATIVE(name, Op) \
  case UnaryOp::name:            \
    return unary_ops::Op::derivative<Math>(x, y);
    HRM_UNARY_OPS(HRM_DERIVATIVE)
#undef HRM_DERIVATIVE
  }
  return A(0);
}

// Whether the derivative of `op` is computed from y = op(x) and not from x.
constexpr bool uses_output(UnaryOp op) {
  switch (op) {
#define HRM_USES_OUTPUT(name, Op) \
  case UnaryOp::name:             \
    return unary_ops::Op::uses_output;
    HRM_UNARY_OPS(HRM_USES_OUTPUT)
#undef HRM_USES_OUTPUT
  }
  return false;
}

template <class A>
HRM_HOST_DEVICE A apply(BinaryOp op, A a, A b) {
  switch (op) {
    case BinaryOp::add:
      return a + b;
    case BinaryOp::sub:
      return a - b;
    case BinaryOp::mul:
      return a * b;
    case BinaryOp::div:
      if constexpr (std::is_integral_v<A>) {
        if (b == A(0)) return A(0);
        if constexpr (std::is_signed_v<A>)  // the least number has no positive twin: it wraps
          if (b == A(-1)) return static_cast<A>(0u - static_cast<unsigned>(a));
      }
      return a / b;
    case BinaryOp::maximum:
      return a >= b || a != a ? a : b;
    case BinaryOp::minimum:
      return a <= b || a != a ? a : b;
    case BinaryOp::atan2:
    case BinaryOp::pow:
      if constexpr (std::is_floating_point_v<A>)
        return op == BinaryOp::pow ? std::pow(a, b) : std::atan2(a, b);
  }
  return a;
}

template <class A>
HRM_HOST_DEVICE bool holds(CompareOp op, A a, A b) {
  switch (op) {
    case CompareOp::gt:
      return a > b;
    case CompareOp::ge:
      return a >= b;
    case CompareOp::eq:
      return a == b;
    case CompareOp::ne:
      return a != b;
  }
  return false;
}

// visit_binary(op, [&]<BinaryOp op>() {...}) calls the lambda with `op` as a constant, so that a
// loop inside it is compiled for each; visit_compare likewise.
template <class F>
void visit_binary(BinaryOp op, F&& f) {
  switch (op) {
#define HRM_VISIT(name) \
  case BinaryOp::name:  \
    return f.template operator()<BinaryOp::name>();
    HRM_BINARY_OPS(HRM_VISIT)
#undef HRM_VISIT
  }
}
template <class F>
void visit_compare(CompareOp op, F&& f) {
  switch (op) {
#define HRM_VISIT(name) \
  case CompareOp::name: \
    return f.template operator()<CompareOp::name>();
    HRM_COMPARE_OPS(HRM_VISIT)
#undef HRM_VISIT
  }
}

// A number in the type that elements are computed in; integers wrap, as their arithmetic does.
template <class W>
HRM_HOST_DEVICE W number_as(double value) {
  if constexpr (std::is_integral_v<W>)
    return static_cast<W>(static_cast<int64_t>(value));
  else
    return static_cast<W>(value);
}

// Type an element is computed in: float for bf16, itself otherwise.
template <class T>
struct working {
  using type = T;
};
template <>
struct working<bfloat16> {
  using type = float;
};
template <class T>
using Working = typename working<T>::type;

// stablemax (loss.h) of one logit, and its derivative.
HRM_HOST_DEVICE inline double stablemax(double x) { return x >= 0 ? x + 1 : 1 / (1 - x + 1e-30); }
HRM_HOST_DEVICE inline double stablemax_derivative(double x) {
  const double s = 1 / (1 - x + 1e-30);
  return x >= 0 ? 1 : s * s;
}

// Inverse error function on (-1, 1): Giles' approximation, then one Halley step on erf, whose cubic
// convergence brings it to what erf can tell apart: 1e-12 for |x| < 1 - 1e-6, 1e-8 at 1 - 1e-9.
HRM_HOST_DEVICE inline double erfinv(double x) {
  double w = -std::log((1 - x) * (1 + x)), p;
  if (w < 5) {
    w -= 2.5;
    p = 2.81022636e-08;
    for (double c : {3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
                     -0.00417768164, 0.246640727, 1.50140941})
      p = p * w + c;
  } else {
    w = std::sqrt(w) - 3;
    p = -0.000200214257;
    for (double c : {0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
                     0.00943887047, 1.00167406, 2.83297682})
      p = p * w + c;
  }
  const double y = p * x;
  const double newton = (std::erf(y) - x) / (std::numbers::inv_sqrtpi * 2 * std::exp(-y * y));
  return y - newton / (1 + y * newton);
}

// a * b + c: rounded once if the processor has an instruction for that, else twice.
HRM_HOST_DEVICE inline float multiply_add(float a, float b, float c) {
#if defined(FP_FAST_FMAF) || defined(__CUDA_ARCH__)
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

// Angle of the point (x, y), within 4 ulp, for x >= 0 as Adam-atan2 needs it; atan2(0, 0) = 0.
HRM_HOST_DEVICE inline float fast_atan2(float y, float x) {
  const float ay = std::fabs(y), ax = std::fabs(x);
  const bool swap = ay > ax;
  const float big = swap ? ay : ax, small = swap ? ax : ay;
  const float t = big > 0 ? small / big : 0.0f;  // in [0, 1]
  // atan on [0, tan(pi/8)], the rest by atan(t) = pi/4 + atan((t - 1) / (t + 1)).
  const bool upper = t > 0.41421356f;
  const float u = upper ? (t - 1.0f) / (t + 1.0f) : t;
  const float s = u * u;
  float p = 8.05374449538e-2f;
  p = multiply_add(p, s, -1.38776856032e-1f);
  p = multiply_add(p, s, 1.99777106478e-1f);
  p = multiply_add(p, s, -3.33329491539e-1f);
  float angle = multiply_add(p * s, u, u);
  angle = upper ? angle + std::numbers::pi_v<float> / 4 : angle;
  angle = swap ? std::numbers::pi_v<float> / 2 - angle : angle;
  angle = x < 0 ? std::numbers::pi_v<float> - angle : angle;
  angle = std::copysign(angle, y);
  return y != y || x != x ? y + x : angle;
}
HRM_HOST_DEVICE inline double fast_atan2(double y, double x) { return std::atan2(y, x); }

}  // namespace hrm

// Elementwise functions of one tensor (f32, f64, bf16), each with its derivative in the kernel.
//
//     const Tensor y = gelu(x);
//     const Tensor z = cast(y, DType::bf16);
#pragma once

#include "autograd/node.h"

namespace hrm {

Tensor unary(UnaryOp op, const Tensor& x);

inline Tensor exp(const Tensor& x) { return unary(UnaryOp::exp, x); }
inline Tensor log(const Tensor& x) { return unary(UnaryOp::log, x); }
inline Tensor sqrt(const Tensor& x) { return unary(UnaryOp::sqrt, x); }
inline Tensor rsqrt(const Tensor& x) { return unary(UnaryOp::rsqrt, x); }  // 1 / sqrt(x)
inline Tensor sigmoid(const Tensor& x) { return unary(UnaryOp::sigmoid, x); }
inline Tensor silu(const Tensor& x) { return unary(UnaryOp::silu, x); }  // x sigmoid(x)
inline Tensor gelu(const Tensor& x) { return unary(UnaryOp::gelu, x); }  // x P(normal <= x)
inline Tensor tanh(const Tensor& x) { return unary(UnaryOp::tanh, x); }
inline Tensor abs(const Tensor& x) { return unary(UnaryOp::abs, x); }  // gradient 0 at 0
inline Tensor square(const Tensor& x) { return unary(UnaryOp::square, x); }
inline Tensor relu(const Tensor& x) { return unary(UnaryOp::relu, x); }  // max(x, 0)
inline Tensor sin(const Tensor& x) { return unary(UnaryOp::sin, x); }
inline Tensor cos(const Tensor& x) { return unary(UnaryOp::cos, x); }

// x in another dtype; the gradient is cast back. Integer targets carry no gradient.
Tensor cast(const Tensor& x, DType dtype);

}  // namespace hrm

// Elementwise arithmetic with NumPy broadcasting. Both operands have the same floating dtype (add,
// sub, mul, div, maximum also take i32 without gradient).
//
//     const Tensor a = from_vector<float>({1, 2, 3, 4}, {2, 2});
//     const Tensor row = from_vector<float>({10, 20}, {2});
//     a + row;                                     // 11 22, 13 24
//     where(compare(CompareOp::gt, a, 2), a, -a);   // -1 -2, 3 4
#pragma once

#include "autograd/node.h"

namespace hrm {

Tensor add(const Tensor& a, const Tensor& b);
// a + (b + c) in one pass, all of one shape and dtype.
Tensor add3(const Tensor& a, const Tensor& b, const Tensor& c);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
// The larger of both; at a tie the gradient goes to a.
Tensor maximum(const Tensor& a, const Tensor& b);
// scale * x + shift.
Tensor affine(const Tensor& x, double scale, double shift = 0);
// Angle of the point (d, m), in radians; atan2(0, 0) = 0. No gradient: only the comparison with the
// official code (tests/parity.cpp) calls it.
Tensor atan2(const Tensor& m, const Tensor& d);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator*(double s, const Tensor& x) { return affine(x, s); }
inline Tensor operator*(const Tensor& x, double s) { return affine(x, s); }
inline Tensor operator+(const Tensor& x, double s) { return affine(x, 1, s); }
inline Tensor operator-(const Tensor& x, double s) { return affine(x, 1, -s); }
inline Tensor operator-(double s, const Tensor& x) { return affine(x, -1, s); }
inline Tensor operator-(const Tensor& x) { return affine(x, -1); }

// u8 masks (1 where it holds), broadcast like the arithmetic; no gradient flows through them.
Tensor compare(CompareOp op, const Tensor& a, const Tensor& b);
Tensor compare(CompareOp op, const Tensor& a, double b);
// condition ? a : b, all three broadcast; condition is u8.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

}  // namespace hrm

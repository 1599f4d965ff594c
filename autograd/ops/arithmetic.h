// Elementwise arithmetic with NumPy broadcasting. Both operands have the same floating dtype (add,
// sub, mul, div, maximum, minimum also take integers without gradient).
//
//     const Tensor a = from_vector<float>({1, 2, 3, 4}, {2, 2});
//     const Tensor row = from_vector<float>({10, 20}, {2});
//     a + row;                                     // 11 22, 13 24
//     where(a > 2, a, -a);                          // -1 -2, 3 4
//     2 / a + 1;                                    // 3 2, 1.667 1.5
#pragma once

#include "autograd/node.h"

namespace hrm {

Tensor add(const Tensor& a, const Tensor& b);
// a + (b + c) in one pass, all of one shape and dtype.
Tensor add3(const Tensor& a, const Tensor& b, const Tensor& c);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
// The larger, and the smaller, of both; at a tie the gradient goes to a.
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
// a to the power of b. The gradient of b is 0 where a is.
Tensor pow(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& x, double exponent);
// x, but at least `low` and at most `high`; the gradient is 0 where it was outside.
Tensor clamp(const Tensor& x, double low, double high);
// scale * x + shift. An integer x takes whole numbers alone.
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
inline Tensor operator+(double s, const Tensor& x) { return affine(x, 1, s); }
Tensor operator/(const Tensor& x, double s);
Tensor operator/(double s, const Tensor& x);

// x is written to, and with it every view of it; also where x has no name, as in x[0] += 1. A write
// has no gradient. Where autograd records, x becomes the new tensor instead, so that sums such as
// `total += loss` have one; an Error if other tensors share its memory and would be left behind, or
// if x is a leaf that requires a gradient.
Tensor& operator+=(Tensor& x, const Tensor& y);
Tensor& operator-=(Tensor& x, const Tensor& y);
Tensor& operator*=(Tensor& x, const Tensor& y);
Tensor& operator/=(Tensor& x, const Tensor& y);
Tensor& operator+=(Tensor& x, double s);
Tensor& operator-=(Tensor& x, double s);
Tensor& operator*=(Tensor& x, double s);
Tensor& operator/=(Tensor& x, double s);
void operator+=(Tensor&& view, const Tensor& y);
void operator-=(Tensor&& view, const Tensor& y);
void operator*=(Tensor&& view, const Tensor& y);
void operator/=(Tensor&& view, const Tensor& y);
void operator+=(Tensor&& view, double s);
void operator-=(Tensor&& view, double s);
void operator*=(Tensor&& view, double s);
void operator/=(Tensor&& view, double s);

// u8 masks (1 where it holds), broadcast like the arithmetic; no gradient flows through them.
Tensor compare(CompareOp op, const Tensor& a, const Tensor& b);
Tensor compare(CompareOp op, const Tensor& a, double b);
inline Tensor operator>(const Tensor& a, const Tensor& b) { return compare(CompareOp::gt, a, b); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) { return compare(CompareOp::ge, a, b); }
inline Tensor operator<(const Tensor& a, const Tensor& b) { return compare(CompareOp::gt, b, a); }
inline Tensor operator<=(const Tensor& a, const Tensor& b) { return compare(CompareOp::ge, b, a); }
inline Tensor operator==(const Tensor& a, const Tensor& b) { return compare(CompareOp::eq, a, b); }
inline Tensor operator!=(const Tensor& a, const Tensor& b) { return compare(CompareOp::ne, a, b); }
inline Tensor operator>(const Tensor& a, double b) { return compare(CompareOp::gt, a, b); }
inline Tensor operator>=(const Tensor& a, double b) { return compare(CompareOp::ge, a, b); }
Tensor operator<(const Tensor& a, double b);
Tensor operator<=(const Tensor& a, double b);
inline Tensor operator==(const Tensor& a, double b) { return compare(CompareOp::eq, a, b); }
inline Tensor operator!=(const Tensor& a, double b) { return compare(CompareOp::ne, a, b); }
inline Tensor operator>(double a, const Tensor& b) { return b < a; }
inline Tensor operator>=(double a, const Tensor& b) { return b <= a; }
inline Tensor operator<(double a, const Tensor& b) { return b > a; }
inline Tensor operator<=(double a, const Tensor& b) { return b >= a; }
inline Tensor operator==(double a, const Tensor& b) { return b == a; }
inline Tensor operator!=(double a, const Tensor& b) { return b != a; }
// Of masks.
Tensor logical_not(const Tensor& mask);
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);
// condition ? a : b, all three broadcast; condition is u8.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

}  // namespace hrm

// Elementary functions that the compiler can vectorise. What the compiler could contract is written
// as multiply_add, so a vector lane and a scalar tail give the same bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "kernels/cpu/namespace.h"
#include "kernels/formulas.h"

namespace hrm::HRM_CPU {

// e^x within 2 ulp, 0 where it would be below 1.7e-38 (nearly subnormal): x = n ln 2 + r,
// |r| <= ln 2 / 2, and a degree-6 polynomial in r. NaN stays NaN.
inline float fast_exp(float x) {
  // At kMin n is -126, and the factor 2^(n-1) below becomes zero. The two bounds are a minimum and
  // a maximum, one instruction each, which return their second operand if it is NaN.
  constexpr float kMax = 89.0f, kMin = -87.3f;
  const float below = kMax < x ? kMax : x;
  const float clamped = kMin > below ? kMin : below;
  const float n = __builtin_rintf(clamped * std::numbers::log2e_v<float>);
  float r = multiply_add(n, -0.693145751953125f, clamped);
  r = multiply_add(n, -1.428606765330187e-06f, r);
  float p = 1.9875691500e-4f;
  p = multiply_add(p, r, 1.3981999507e-3f);
  p = multiply_add(p, r, 8.3334519073e-3f);
  p = multiply_add(p, r, 4.1665795894e-2f);
  p = multiply_add(p, r, 1.6666665459e-1f);
  p = multiply_add(p, r, 5.0000001201e-1f);
  p = multiply_add(p, r * r, r) + 1.0f;
  // 2^n as 2^(n-1) twice the result: n reaches 128, where only the last doubling may overflow.
  const float scale = std::bit_cast<float>((static_cast<int32_t>(n) + 126) << 23);
  return p * scale * 2.0f;
}
inline double fast_exp(double x) { return std::exp(x); }

// The one sigmoid of the library (targets and losses must agree bit for bit).
template <class T>
inline T sigmoid(T x) {
  return T(1) / (T(1) + fast_exp(-x));
}

using hrm::fast_atan2;

}  // namespace hrm::HRM_CPU

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

// The least and the greatest number that exp computes with. They are defined elsewhere so that g++
// cannot see them: the two bounds become a minimum and a maximum, where it makes a dozen compares
// and selections out of known numbers.
extern const float kExpLeast, kExpMost;

// e^x within 2 ulp, 0 where it would be below 1.7e-38 (nearly subnormal): x = n ln 2 + r,
// |r| <= ln 2 / 2, and a degree-6 polynomial in r. NaN stays NaN.
inline float fast_exp(float x) {
  const float below = kExpMost < x ? kExpMost : x;
  const float clamped = kExpLeast > below ? kExpLeast : below;
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
  // 2^n as twice 2^(n-1): n reaches 128. At the least x it is -126, where this factor is zero.
  const float scale = std::bit_cast<float>((static_cast<int32_t>(n) + 126) << 23);
  return p * 2.0f * scale;  // in this order nothing is subnormal in between
}
inline double fast_exp(double x) { return std::exp(x); }

// The one sigmoid of the library (targets and losses must agree bit for bit).
template <class T>
inline T sigmoid(T x) {
  return T(1) / (T(1) + fast_exp(-x));
}

// P(normal <= x) within 1e-6 of its value down to x = -3, and within 1e-5 in the far tail: half of
// the complementary error function of |x| / sqrt(2), which is t exp(-x^2 / 2 + P(t)) with t = 1 /
// (1 + |x| / (2 sqrt(2))). (The coefficients: Press et al., Numerical Recipes, erfcc.)
inline float normal_cdf(float x) {
  const float z = __builtin_fabsf(x) * (1 / std::numbers::sqrt2_v<float>);
  const float t = 1.0f / multiply_add(z, 0.5f, 1.0f);
  float p = 0.17087277f;
  p = multiply_add(p, t, -0.82215223f);
  p = multiply_add(p, t, 1.48851587f);
  p = multiply_add(p, t, -1.13520398f);
  p = multiply_add(p, t, 0.27886807f);
  p = multiply_add(p, t, -0.18628806f);
  p = multiply_add(p, t, 0.09678418f);
  p = multiply_add(p, t, 0.37409196f);
  p = multiply_add(p, t, 1.00002368f);
  p = multiply_add(p, t, -1.26551223f);
  const float tail = 0.5f * t * fast_exp(multiply_add(-z, z, p));
  return x < 0 ? tail : 1 - tail;  // a NaN stays one: it is in t
}
inline double normal_cdf(double x) { return unary_ops::normal_cdf(x); }

using hrm::fast_atan2;

}  // namespace hrm::HRM_CPU

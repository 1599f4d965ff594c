// Dropout (Srivastava et al. 2014) by counters: whether an element is kept depends on the seed, the
// step, the number of the call in that step and the element's index, and on nothing else. No mask
// is stored, and neither the number of threads nor a resumed run changes one.
//
//     DropoutRule rule{.p = 0.1, .seed = 7, .call = 3};
//     cpu::dropout(DType::f32, y, x, nullptr, n, rule, context);   // y[i] = x[i] / 0.9 or 0
#pragma once

#include "kernels/random.h"

namespace hrm {

struct DropoutRule {
  double p = 0;  // of being dropped, in [0, 1); rounded down to a multiple of 1 / 65536
  uint64_t seed = 0;
  uint32_t call = 0;              // which dropout of the step this is, below 2^20
  const int32_t* step = nullptr;  // where the step's number stands, on the device; null: step 0
};

// Draws of 16 bits that a Philox block gives.
inline constexpr int64_t kDropoutDraws = 8;

// Draws below this one drop their elements.
HRM_HOST_DEVICE inline uint32_t dropout_threshold(double p) {
  return static_cast<uint32_t>(p * 65536);
}

// What the elements of a call have in common. Element i is kept if draw i is not below the
// threshold.
struct DropoutDraws {
  uint64_t seed;
  uint32_t threshold;
  double scale;  // of a kept element: 1 / the share that is kept
};
HRM_HOST_DEVICE inline DropoutDraws dropout_draws(const DropoutRule& rule) {
  const uint64_t step = rule.step ? static_cast<uint32_t>(*rule.step) : 0;
  const uint32_t threshold = dropout_threshold(rule.p);
  return {philox_bits(rule.seed, step << 20 | rule.call), threshold,
          65536.0 / (65536.0 - static_cast<double>(threshold))};
}
// Draw `at`, 0 to 7, of a block. Without an index, which would put the block into a GPU's memory.
HRM_HOST_DEVICE inline uint32_t dropout_draw(const PhiloxBlock& block, int at) {
  const uint32_t low = at & 2 ? block.word[1] : block.word[0];
  const uint32_t high = at & 2 ? block.word[3] : block.word[2];
  return (at & 4 ? high : low) >> (at & 1) * 16 & 0xffffu;
}

// y[i] = factor x[i] + residual[i], the factor 0 or 1 / (1 - p) (so that a NaN stays one); residual
// may be null. n elements of t, rounded once. The gradient of x is the same of dy, without
// residual.
HRM_KERNEL(dropout, (DType t, void* y, const void* x, const void* residual, int64_t n,
                     const DropoutRule& rule, const Context&))

}  // namespace hrm

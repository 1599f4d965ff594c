// Philox 4x32-10 (Salmon et al. 2011): counter-based, so the numbers are the same on every backend
// and for any number of threads. Element i of a call is a function of (seed, offset + i) alone.
//
//     cpu::fill_uniform(DType::f64, y, n, 0.0, 1.0, RandomKey{seed, offset}, context);
//     philox_uniform(seed, offset + 3);   // y[3]
#pragma once

#include <cmath>
#include <numbers>

#include "kernels/dispatch.h"

namespace hrm {

struct RandomKey {
  uint64_t seed = 0;
  uint64_t offset = 0;  // index of the first 64-bit draw of the call
};

struct PhiloxBlock {
  uint32_t word[4];
};
// The ten rounds on one counter block.
HRM_HOST_DEVICE inline PhiloxBlock philox(uint64_t seed, uint64_t counter) {
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  uint32_t c[4] = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0], p1 = uint64_t{0xCD9E8D57u} * c[2];
    c[0] = static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0;
    c[2] = static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1;
    c[1] = static_cast<uint32_t>(p1);
    c[3] = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c[0], c[1], c[2], c[3]}};
}
// Draw number `index`: 64 random bits (two draws share a Philox block).
HRM_HOST_DEVICE inline uint64_t philox_bits(uint64_t seed, uint64_t index) {
  const PhiloxBlock c = philox(seed, index >> 1);
  return (index & 1) ? (uint64_t{c.word[3]} << 32 | c.word[2])
                     : (uint64_t{c.word[1]} << 32 | c.word[0]);
}
// Uniform in [0, 1) with 53 bits.
HRM_HOST_DEVICE inline double philox_uniform(uint64_t seed, uint64_t index) {
  return static_cast<double>(philox_bits(seed, index) >> 11) * 0x1p-53;
}

// y[i] = low + (high - low) u_i.
HRM_KERNEL(fill_uniform, (DType t, void* y, int64_t n, double low, double high,
                          const RandomKey& key, const Context&))
// y[i] = std * z_i, normal (inverse error function of one draw).
HRM_KERNEL(fill_normal,
           (DType t, void* y, int64_t n, double std, const RandomKey& key, const Context&))
// Truncated normal whose standard deviation AFTER truncation is std (official trunc_normal_init_):
// z = sqrt(2) comp erfinv(u), u uniform in (erf(-sqrt 2), erf(sqrt 2)), comp = 1.1368472343385565
// std, clipped to +-2 comp. std 0 gives zeros.
HRM_KERNEL(fill_truncated_normal,
           (DType t, void* y, int64_t n, double std, const RandomKey& key, const Context&))
// y[i] = low + floor(u_i (high - low + 1)), an integer in [low, high].
HRM_KERNEL(fill_randint, (int32_t * y, int64_t n, int32_t low, int32_t high, const RandomKey& key,
                          const Context&))
// index[r] = the first column whose weights up to there exceed uniform[r] (in [0, 1)) times the
// row's total: a draw in proportion to the weights. [rows, cols] of t; those that are not above 0
// count as 0. -1 where no weight is left, or where one is infinite.
HRM_KERNEL(multinomial, (int32_t * index, DType t, const void* weights, const double* uniform,
                         int64_t rows, int64_t cols, const Context&))

// The draw of one row; weight(j) is weight j as a double.
template <class Weight>
HRM_HOST_DEVICE int32_t draw_from(const Weight& weight, int64_t cols, double uniform) {
  double total = 0, sum = 0;
  for (int64_t j = 0; j < cols; ++j) total += weight(j) > 0 ? weight(j) : 0;
  if (!(total - total == 0)) return -1;
  int32_t last = -1;  // in case rounding leaves the sum at the end below the total
  for (int64_t j = 0; j < cols; ++j) {
    if (!(weight(j) > 0)) continue;
    last = static_cast<int32_t>(j);
    sum += weight(j);
    if (sum > uniform * total) break;
  }
  return last;
}

}  // namespace hrm

// The factors of dropout for a stretch of elements, in loops that the compiler vectorises.
#pragma once

#include <algorithm>

#include "kernels/cpu/namespace.h"
#include "kernels/dropout.h"

namespace hrm::HRM_CPU {

// factors[i], 0 or the scale, for the elements of `blocks` Philox blocks from block `first` on.
template <class A>
void dropout_factors(A* factors, const DropoutDraws& draws, uint64_t first, int64_t blocks) {
  constexpr int64_t kAtOnce = 32;
  uint32_t words[4][kAtOnce];
  const A scale = static_cast<A>(draws.scale);
  for (int64_t begin = 0; begin < blocks; begin += kAtOnce) {
    const int64_t count = std::min(kAtOnce, blocks - begin);
#pragma omp simd
    for (int64_t b = 0; b < count; ++b) {
      const PhiloxBlock block = philox(draws.seed, first + static_cast<uint64_t>(begin + b));
      words[0][b] = block.word[0];
      words[1][b] = block.word[1];
      words[2][b] = block.word[2];
      words[3][b] = block.word[3];
    }
    A* out = factors + begin * kDropoutDraws;
    for (int64_t b = 0; b < count; ++b)
      for (int k = 0; k < 4; ++k) {
        const uint32_t word = words[k][b];
        out[b * kDropoutDraws + 2 * k] = (word & 0xffffu) >= draws.threshold ? scale : A(0);
        out[b * kDropoutDraws + 2 * k + 1] = (word >> 16) >= draws.threshold ? scale : A(0);
      }
  }
}

}  // namespace hrm::HRM_CPU

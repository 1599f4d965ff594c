// Transposition of 16 x 16 words of 32 bits in registers.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/namespace.h"

namespace hrm::HRM_CPU {

inline constexpr int64_t kTransposeBlock = 16;

#if defined(__AVX512F__) && !defined(__clang__)  // clang has no __builtin_shuffle

typedef int32_t Words __attribute__((vector_size(64)));

// For rows i and i + S: exchanges the lanes with bit S of the first and without it of the second.
// After S = 8, 4, 2, 1 the block is transposed.
template <int S>
inline void exchange_lanes(Words (&row)[16]) {
  Words low, high;  // 16 + i is lane i of the second operand
  for (int i = 0; i < 16; ++i) {
    low[i] = i & S ? 16 + i - S : i;
    high[i] = i & S ? 16 + i : i + S;
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    if (i & S) continue;
    const Words a = row[i], b = row[i + S];
    row[i] = __builtin_shuffle(a, b, low);
    row[i + S] = __builtin_shuffle(a, b, high);
  }
}

// dst[c * dst_stride + r] = src[r * src_stride + c]; strides in words.
inline void transpose_block(void* dst, int64_t dst_stride, const void* src, int64_t src_stride) {
  Words row[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    std::memcpy(&row[i], static_cast<const int32_t*>(src) + i * src_stride, 64);
  exchange_lanes<8>(row);
  exchange_lanes<4>(row);
  exchange_lanes<2>(row);
  exchange_lanes<1>(row);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    std::memcpy(static_cast<int32_t*>(dst) + i * dst_stride, &row[i], 64);
}

#else

inline void transpose_block(void* dst, int64_t dst_stride, const void* src, int64_t src_stride) {
  for (int64_t r = 0; r < kTransposeBlock; ++r)
    for (int64_t c = 0; c < kTransposeBlock; ++c)
      std::memcpy(static_cast<int32_t*>(dst) + c * dst_stride + r,
                  static_cast<const int32_t*>(src) + r * src_stride + c, 4);
}

#endif

}  // namespace hrm::HRM_CPU

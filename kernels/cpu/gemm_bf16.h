// Products of bf16 matrices with f32 sums, where the processor multiplies bf16 itself: by Intel AMX
// tiles, or by AVX512-BF16 dot products. Elsewhere gemm_core.h widens to f32.
//
// Both instructions add up pairs of k at a time, so a panel of B is [k / 2][kBf16Cols] pairs; A is
// read along its rows. k is padded with zeros to whole tiles. Sums are f32. The order of additions
// depends on the shape and the instruction, never on the threads.
#pragma once

#if defined(__AVX512BF16__) && !defined(__clang__)
#define HRM_NATIVE_BF16 1
#include <immintrin.h>

#include <optional>

#include "kernels/cpu/amx.h"
#include "kernels/cpu/gemm_core.h"
#include "kernels/cpu/namespace.h"

namespace hrm::HRM_CPU {

inline constexpr int64_t kBf16Cols = 32, kBf16Depth = 32;  // a panel of B, a tile of A
inline constexpr int64_t kBf16BlockK = 1024;

inline int64_t bf16_depth(int64_t k) { return (k + kBf16Depth - 1) / kBf16Depth * kBf16Depth; }
inline int64_t bf16_panels(int64_t n) { return (n + kBf16Cols - 1) / kBf16Cols; }
inline int64_t bf16_packed_bytes(int64_t n, int64_t k) {
  return bf16_panels(n) * kBf16Cols * bf16_depth(k) * 2;
}

// pairs[r] = (first[r], second[r]) for r < count, zero up to `padded`; a null row is all zeros.
inline void interleave(bfloat16* pairs, const bfloat16* first, const bfloat16* second,
                       int64_t count, int64_t padded) {
  const auto* a = reinterpret_cast<const uint16_t*>(first);
  const auto* b = reinterpret_cast<const uint16_t*>(second);
  auto* out = reinterpret_cast<uint32_t*>(pairs);
  if (b)
    for (int64_t r = 0; r < count; ++r) out[r] = a[r] | static_cast<uint32_t>(b[r]) << 16;
  else
    for (int64_t r = 0; r < count; ++r) out[r] = a ? a[r] : 0;
  for (int64_t r = count; r < padded; ++r) out[r] = 0;
}

// dst[c * dst_row + r] = src[r * src_row + c], words of 32 bits, any count of rows and columns.
inline void transpose_words(bfloat16* dst, int64_t dst_row, const bfloat16* src, int64_t src_row,
                            int64_t rows, int64_t cols) {
  constexpr int64_t B = kTransposeBlock;
  const auto* from = reinterpret_cast<const char*>(src);
  auto* to = reinterpret_cast<char*>(dst);
  for (int64_t r = 0; r < rows; r += B)
    for (int64_t c = 0; c < cols; c += B) {
      if (r + B <= rows && c + B <= cols) {
        transpose_block(to + (c * dst_row + r) * 4, dst_row, from + (r * src_row + c) * 4, src_row);
        continue;
      }
      for (int64_t i = r; i < std::min(r + B, rows); ++i)
        for (int64_t j = c; j < std::min(c + B, cols); ++j)
          std::memcpy(to + (j * dst_row + i) * 4, from + (i * src_row + j) * 4, 4);
    }
}

// Pairs [begin, end) of k of all panels of a B with contiguous rows (b_col 1).
inline void pack_bf16_steps(bfloat16* dst, const bfloat16* b, int64_t b_row, int64_t n, int64_t k,
                            int64_t begin, int64_t end) {
  const int64_t panel = kBf16Cols * bf16_depth(k);
  for (int64_t p = begin; p < end; ++p) {
    const bfloat16* first = 2 * p < k ? b + 2 * p * b_row : nullptr;
    const bfloat16* second = 2 * p + 1 < k ? first + b_row : nullptr;
    bfloat16* to = dst + p * 2 * kBf16Cols;
    for (int64_t j = 0; j < n; j += kBf16Cols, to += panel)
      interleave(to, first ? first + j : nullptr, second ? second + j : nullptr,
                 std::min(kBf16Cols, n - j), kBf16Cols);
  }
}

// One panel of B, columns [0, cols) at b, any strides: [bf16_depth(k) / 2][kBf16Cols] pairs.
inline void pack_bf16_panel(bfloat16* dst, const bfloat16* b, int64_t b_row, int64_t b_col,
                            int64_t cols, int64_t k) {
  cols = std::min(cols, kBf16Cols);
  const int64_t depth = bf16_depth(k);
  if (b_row == 1 && b_col % 2 == 0 && k % 2 == 0) {  // pairs lie side by side: a transposition
    if (cols < kBf16Cols || k < depth) std::fill_n(dst, depth * kBf16Cols, bfloat16());
    transpose_words(dst, kBf16Cols, b, b_col / 2, cols, k / 2);
    return;
  }
  for (int64_t p = 0; p < depth; p += 2, dst += 2 * kBf16Cols) {
    for (int64_t c = 0; c < kBf16Cols; ++c)
      for (int64_t i = 0; i < 2; ++i)
        dst[2 * c + i] = c < cols && p + i < k ? b[(p + i) * b_row + c * b_col] : bfloat16();
  }
}

// Rows [0, rows) of A as [padded][depth] with zeros around them.
inline void pack_bf16_rows(bfloat16* dst, int64_t padded, int64_t depth, const bfloat16* a,
                           int64_t a_row, int64_t a_col, int64_t rows, int64_t k) {
  if (rows < padded || k < depth) std::fill_n(dst, padded * depth, bfloat16());
  if (a_col == 1) {
    for (int64_t r = 0; r < rows; ++r) std::copy_n(a + r * a_row, k, dst + r * depth);
    return;
  }
  if (a_row == 1) {
    // Pairs of k side by side first, then their columns become rows.
    constexpr int64_t B = kTransposeBlock;
    alignas(64) bfloat16 block[2 * B * B];
    for (int64_t p = 0; p < k; p += 2 * B)
      for (int64_t r = 0; r < rows; r += B) {
        const int64_t count = std::min(B, rows - r), pairs = (std::min(2 * B, k - p) + 1) / 2;
        for (int64_t i = 0; i < pairs; ++i) {
          const bfloat16* first = a + (p + 2 * i) * a_col + r;
          interleave(block + i * 2 * B, first, p + 2 * i + 1 < k ? first + a_col : nullptr, count,
                     B);
        }
        transpose_words(dst + r * depth + p, depth / 2, block, B, pairs, count);
      }
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < k; ++i) dst[r * depth + i] = a[r * a_row + i * a_col];
}

// c [R, 32] (+)= a [R, depth] times a panel.
template <int R>
void dot_kernel(float* c, int64_t c_row, const bfloat16* a, int64_t a_row, const bfloat16* b,
                int64_t depth, bool accumulate) {
  __m512 sum[R][2];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v)
      sum[i][v] = accumulate ? _mm512_loadu_ps(c + i * c_row + 16 * v) : _mm512_setzero_ps();
  for (int64_t k = 0; k < depth; k += 2, b += 2 * kBf16Cols) {
    const auto b0 = (__m512bh)_mm512_loadu_si512(b), b1 = (__m512bh)_mm512_loadu_si512(b + 32);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      int32_t pair;
      std::memcpy(&pair, a + i * a_row + k, 4);
      const auto x = (__m512bh)_mm512_set1_epi32(pair);
      sum[i][0] = _mm512_dpbf16_ps(sum[i][0], x, b0);
      sum[i][1] = _mm512_dpbf16_ps(sum[i][1], x, b1);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) _mm512_storeu_ps(c + i * c_row + 16 * v, sum[i][v]);
}

// Rows of A that a kernel takes at a time.
inline constexpr int kDotRows = 14;  // 28 sums in 32 registers
inline int64_t bf16_rows() { return amx_available() ? 32 : kDotRows; }

// out[i] = sums[i] (+ out[i]), rounded once.
template <class O>
void write_sums(O* out, const float* sums, int64_t n, bool accumulate) {
  if constexpr (std::is_same_v<O, bfloat16>)
    if (n == kBf16Cols && !accumulate) {
      const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(sums + 16), _mm512_loadu_ps(sums));
      std::memcpy(static_cast<void*>(out), &both, sizeof both);
      return;
    }
  for (int64_t i = 0; i < n; ++i)
    out[i] = static_cast<O>((accumulate ? static_cast<float>(out[i]) : 0.0f) + sums[i]);
}

// c [32, 32] (+)= a [32, depth] times a panel, four tiles of sums.
inline void tile_kernel([[maybe_unused]] float* c, [[maybe_unused]] int64_t c_row,
                        [[maybe_unused]] const bfloat16* a, [[maybe_unused]] int64_t a_row,
                        [[maybe_unused]] const bfloat16* b, [[maybe_unused]] int64_t depth,
                        [[maybe_unused]] bool accumulate) {
#if HRM_AMX
  asm volatile("" ::: "memory");  // g++'s tile loads do not say that they read memory
  const int64_t c_bytes = c_row * 4, a_bytes = a_row * 2;
  if (accumulate) {
    _tile_loadd(0, c, c_bytes);
    _tile_loadd(1, c + 16, c_bytes);
    _tile_loadd(2, c + 16 * c_row, c_bytes);
    _tile_loadd(3, c + 16 * c_row + 16, c_bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t k = 0; k < depth; k += 32, b += 32 * kBf16Cols) {
    _tile_loadd(4, a + k, a_bytes);
    _tile_loadd(6, b, 128);
    _tile_loadd(7, b + 32, 128);
    _tile_loadd(5, a + 16 * a_row + k, a_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, c_bytes);
  _tile_stored(1, c + 16, c_bytes);
  _tile_stored(2, c + 16 * c_row, c_bytes);
  _tile_stored(3, c + 16 * c_row + 16, c_bytes);
#endif
}

// C tile (m x n at c, bf16 or f32) = or += A times packed panels of B.
template <class O>
void bf16_tile_product(O* c, int64_t c_row, const bfloat16* a, int64_t a_row, int64_t a_col,
                       const bfloat16* panels, int64_t m, int64_t n, int64_t k, bool accumulate) {
  constexpr bool kWide = std::is_same_v<O, float>;  // C itself can hold sums between blocks of k
  static thread_local Scratch<bfloat16> a_scratch;
  static thread_local Scratch<float> sums_scratch;
#if HRM_AMX
  std::optional<AmxTiles> tiles;
  if (amx_available()) tiles.emplace();
#endif
  const bool tiled = amx_available();
  const int64_t step = bf16_rows(), depth = bf16_depth(k), most = kWide ? kBf16BlockK : depth;
  float* strip = sums_scratch.get(step * kBf16Cols);
  for (int64_t k0 = 0; k0 < depth; k0 += most) {
    const int64_t block = std::min(most, depth - k0), present = std::min(block, k - k0);
    const bool onto = accumulate || k0 > 0;
    // Rows that need neither padding nor transposition are read where they are.
    const int64_t direct = a_col == 1 && present == block ? m / step * step : 0;
    const int64_t padded = (m - direct + step - 1) / step * step;
    bfloat16* packed = a_scratch.get(padded * block);
    if (padded > 0)
      pack_bf16_rows(packed, padded, block, a + direct * a_row + k0 * a_col, a_row, a_col,
                     m - direct, present);
    for (int64_t j = 0; j < n; j += kBf16Cols) {
      const bfloat16* b = panels + j * depth + k0 * kBf16Cols;
      const int64_t cols = std::min(kBf16Cols, n - j);
      for (int64_t i = 0; i < m; i += step) {
        const int64_t count = std::min(step, m - i), row = i < direct ? a_row : block;
        const bfloat16* rows = i < direct ? a + i * a_row + k0 : packed + (i - direct) * block;
        O* out = c + i * c_row + j;
        float* sums = strip;
        if constexpr (kWide)
          if (count == step && cols == kBf16Cols) sums = out;
        const bool in_place = sums != strip;
        const int64_t sums_row = in_place ? c_row : kBf16Cols;
        if (tiled)
          tile_kernel(sums, sums_row, rows, row, b, block, in_place && onto);
        else
          dot_kernel<kDotRows>(sums, sums_row, rows, row, b, block, in_place && onto);
        if (in_place) continue;
        for (int64_t r = 0; r < count; ++r)
          write_sums(out + r * c_row, strip + r * kBf16Cols, cols, onto);
      }
    }
  }
}

}  // namespace hrm::HRM_CPU
#else
#define HRM_NATIVE_BF16 0
#endif

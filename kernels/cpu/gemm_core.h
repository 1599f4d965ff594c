// The packed matrix product on one thread's tile: panels, micro-kernel, blocking. Framework of
// Goto & van de Geijn (2008), with GCC vector types so that one source serves every instruction
// set.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "kernels/types.h"

namespace hrm::cpu {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64, kPanelRows = 14;  // 28 accumulators of 32 registers
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32, kPanelRows = 6;  // 12 of 16
#else
inline constexpr int kVectorBytes = 16, kPanelRows = 4;
#endif

// Constants of the blocking. The K block must not depend on the machine: it decides the order of
// additions. A panel of B (kBlockK x kPanelCols) stays in the first-level cache, a tile's panels of
// A in the second.
inline constexpr int64_t kBlockK = 256;
inline constexpr int64_t kTilePanelsM = 8, kTilePanelsN = 8;
template <class T>
inline constexpr int64_t kPanelCols = 2 * kVectorBytes / static_cast<int64_t>(sizeof(T));

// Scratch memory that grows and is reused; aligned to a cache line.
template <class T>
class Scratch {
 public:
  T* get(int64_t count) {
    if (count > capacity_) {
      data_.reset(static_cast<T*>(std::aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64)));
      if (!data_) throw std::bad_alloc();
      capacity_ = count;
    }
    return data_.get();
  }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t capacity_ = 0;
};

// dst[k][r] = src[r * row_stride + k * k_stride] for r < R, zero for r >= rows: one panel of R rows
// of a matrix with `depth` columns, widened from S to T.
template <int64_t R, class T, class S>
void pack_panel(T* dst, const S* src, int64_t rows, int64_t depth, int64_t row_stride,
                int64_t k_stride) {
  rows = std::min(rows, R);
  if (row_stride == 1 && rows == R) {
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t r = 0; r < R; ++r) dst[k * R + r] = static_cast<T>(src[k * k_stride + r]);
    return;
  }
  // Blocks of 16 keep the scattered writes of a transposition within the first-level cache.
  for (int64_t k0 = 0; k0 < depth; k0 += 16) {
    const int64_t k1 = std::min(depth, k0 + 16);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = k0; k < k1; ++k)
        dst[k * R + r] = static_cast<T>(src[r * row_stride + k * k_stride]);
    for (int64_t r = rows; r < R; ++r)
      for (int64_t k = k0; k < k1; ++k) dst[k * R + r] = T(0);
  }
}

// c[i][j] (+)= sum_k a[k][i] b[k][j] for a full panel tile, kPanelRows x kPanelCols.
template <class T>
inline void micro_kernel(T* c, int64_t c_row, const T* a, const T* b, int64_t depth,
                         bool accumulate) {
  typedef T Vector __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  constexpr int kLanes = kVectorBytes / sizeof(T);
  Vector sum[kPanelRows][2];
  for (auto& row : sum) row[0] = row[1] = Vector{};
  for (int64_t k = 0; k < depth; ++k) {
    const Vector b0 = *reinterpret_cast<const Vector*>(b);
    const Vector b1 = *reinterpret_cast<const Vector*>(b + kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kPanelRows; ++i) {
      sum[i][0] += a[i] * b0;
      sum[i][1] += a[i] * b1;
    }
    a += kPanelRows;
    b += 2 * kLanes;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kPanelRows; ++i) {
    auto* out = reinterpret_cast<Vector*>(c + i * c_row);
    auto* next = reinterpret_cast<Vector*>(c + i * c_row + kLanes);
    *out = accumulate ? *out + sum[i][0] : sum[i][0];
    *next = accumulate ? *next + sum[i][1] : sum[i][1];
  }
}

// C tile (m x n at c) from packed panels: a_panels [panel][depth][kPanelRows], b_panels
// [panel][depth][kPanelCols]. accumulate: add to C instead of overwriting it.
template <class T>
void tile_product(T* c, int64_t c_row, const T* a_panels, const T* b_panels, int64_t m, int64_t n,
                  int64_t depth, bool accumulate) {
  constexpr int64_t MR = kPanelRows, NR = kPanelCols<T>;
  alignas(64) T edge[MR * NR];
  for (int64_t k0 = 0; k0 < depth; k0 += kBlockK) {
    const int64_t block = std::min(kBlockK, depth - k0);
    const bool add = accumulate || k0 > 0;
    for (int64_t j = 0; j < n; j += NR) {
      const T* b = b_panels + (j / NR * depth + k0) * NR;
      for (int64_t i = 0; i < m; i += MR) {
        const T* a = a_panels + (i / MR * depth + k0) * MR;
        if (i + MR <= m && j + NR <= n) {
          micro_kernel(c + i * c_row + j, c_row, a, b, block, add);
          continue;
        }
        micro_kernel(edge, NR, a, b, block, false);
        for (int64_t r = 0; r < std::min(MR, m - i); ++r) {
          T* out = c + (i + r) * c_row + j;
          for (int64_t s = 0; s < std::min(NR, n - j); ++s)
            out[s] = add ? out[s] + edge[r * NR + s] : edge[r * NR + s];
        }
      }
    }
  }
}

// A whole product on the calling thread, strides as in kernels/gemm.h. For use inside kernels that
// are parallel themselves.
template <class T>
void serial_gemm(T* c, int64_t c_row, const T* a, int64_t a_row, int64_t a_col, const T* b,
                 int64_t b_row, int64_t b_col, int64_t m, int64_t n, int64_t k, bool accumulate) {
  constexpr int64_t MR = kPanelRows, NR = kPanelCols<T>;
  static thread_local Scratch<T> a_scratch, b_scratch;
  T* pa = a_scratch.get((m + MR - 1) / MR * MR * k);
  T* pb = b_scratch.get((n + NR - 1) / NR * NR * k);
  for (int64_t i = 0; i < m; i += MR)
    pack_panel<MR>(pa + i * k, a + i * a_row, m - i, k, a_row, a_col);
  for (int64_t j = 0; j < n; j += NR)
    pack_panel<NR>(pb + j * k, b + j * b_col, n - j, k, b_col, b_row);
  tile_product(c, c_row, pa, pb, m, n, k, accumulate);
}

}  // namespace hrm::cpu

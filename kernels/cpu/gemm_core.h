// The matrix product of one thread: panels of B, micro-kernels, blocking. The framework is that of
// Goto & van de Geijn (2008), with GCC vector types, so that one source serves every instruction
// set.
//
//            k                 kPanelCols                  kPanelCols
//        +-------+             +------+                    +--------+
//        |       |             |      |                    |        |
//     m  | rows  |  times   k  | panel|   gives  kPanelRows| in     |  one micro-kernel: its sums
//        | of A  |             | of B |                    | regis- |  stay in registers over a
//        +-------+             +------+                    | ters   |  whole block of k
//                                                          +--------+
// B is packed, panel after panel, each [k][kPanelCols], so that it streams. A is read where it is
// if its rows or its columns are contiguous; columns are packed too, block by block, where many
// panels of B read them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "kernels/cpu/transpose.h"
#include "kernels/types.h"

namespace hrm::cpu {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64, kPanelRows = 14;  // 28 accumulators of 32 registers
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32, kPanelRows = 6;  // 12 of 16
#else
inline constexpr int kVectorBytes = 16, kPanelRows = 4;
#endif

template <class T>
inline constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(T));
template <class T>
inline constexpr int64_t kPanelCols = 2 * kLanes<T>;
// The K block must not depend on the machine: it decides the order of additions. A block of one
// panel of B (32 KiB in f32) stays in the first-level cache.
inline constexpr int64_t kBlockK = 256;

template <class T>
inline constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));  // elements of a cache line

template <class T>
int64_t panels_of(int64_t n) {
  return (n + kPanelCols<T> - 1) / kPanelCols<T>;
}

// Scratch memory that grows and is reused; aligned to a cache line.
template <class T>
class Scratch {
 public:
  T* get(int64_t count) {
    if (count > capacity_) {
      capacity_ = 0;
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
  int64_t done = 0;  // rows
  if constexpr (std::is_same_v<T, S> && sizeof(T) == 4 && R % kTransposeBlock == 0)
    if (k_stride == 1)
      for (; done + kTransposeBlock <= rows; done += kTransposeBlock) {
        int64_t k = 0;
        for (; k + kTransposeBlock <= depth; k += kTransposeBlock)
          transpose_block(dst + k * R + done, R, src + done * row_stride + k, row_stride);
        for (int64_t r = done; r < done + kTransposeBlock; ++r)
          for (int64_t i = k; i < depth; ++i) dst[i * R + r] = src[r * row_stride + i];
      }
  // Blocks of 16 keep the scattered writes of a transposition within the first-level cache.
  for (int64_t k0 = 0; k0 < depth; k0 += 16) {
    const int64_t k1 = std::min(depth, k0 + 16);
    for (int64_t r = done; r < rows; ++r)
      for (int64_t k = k0; k < k1; ++k)
        dst[k * R + r] = static_cast<T>(src[r * row_stride + k * k_stride]);
    for (int64_t r = rows; r < R; ++r)
      for (int64_t k = k0; k < k1; ++k) dst[k * R + r] = T(0);
  }
}

// The same for rows that are side by side in memory (row_stride 1): steps [begin, end) of k of all
// panels of `rows` rows, each [depth][R]. One step of k after the other, so that memory is read in
// long stretches.
template <int64_t R, class T, class S>
void pack_steps(T* dst, const S* src, int64_t rows, int64_t depth, int64_t k_stride, int64_t begin,
                int64_t end) {
  for (int64_t k = begin; k < end; ++k) {
    const S* from = src + k * k_stride;
    T* to = dst + k * R;
    int64_t r = 0;
    for (; r + R <= rows; r += R, to += depth * R)
      for (int64_t i = 0; i < R; ++i) to[i] = static_cast<T>(from[r + i]);
    if (r == rows) continue;
    for (int64_t i = 0; i < R; ++i) to[i] = r + i < rows ? static_cast<T>(from[r + i]) : T(0);
  }
}

// How a micro-kernel walks through A: along contiguous rows, `a_stride` apart, or down columns of
// contiguous elements, `a_stride` apart (A transposed, or packed).
enum class Walk { rows, columns };

// c[i][j] (+)= sum_k a[i][k] b[k][j] for i < R and V vectors of columns. Meanwhile a part of what
// will be read next, from `next` on, comes nearer: a cache line for every four steps of k.
template <class T, int R, int V, Walk W>
void micro_kernel(T* c, int64_t c_row, const T* a, int64_t a_stride, const T* b, int64_t depth,
                  bool accumulate, const T* next) {
  typedef T Vector __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  constexpr int64_t L = kLanes<T>, NR = kPanelCols<T>;
  constexpr int kUnroll = 4;  // fewer counters between the multiplications
  Vector sum[R][V];
  for (auto& row : sum)
    for (Vector& s : row) s = Vector{};
  // Rows 0, 5 and 10; the others are within the reach of one address from them.
  const T* row[3] = {a, R > 5 ? a + 5 * a_stride : a, R > 10 ? a + 10 * a_stride : a};
  const auto multiply = [&](int u) __attribute__((always_inline)) {
    Vector x[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) x[v] = *reinterpret_cast<const Vector*>(b + u * NR + v * L);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const T factor = W == Walk::rows ? row[i / 5][i % 5 * a_stride + u] : a[u * a_stride + i];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[i][v] += factor * x[v];
    }
  };
  const auto advance = [&](int steps) __attribute__((always_inline)) {
    for (const T*& p : row) p += steps;
    a += steps * a_stride;
    b += steps * NR;
  };
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) __builtin_prefetch(c + i * c_row + v * L, 1);
  int64_t k = 0;
  for (; k + kUnroll <= depth; k += kUnroll) {
    __builtin_prefetch(next, 0, 2);
    next += kLine<T>;
#pragma GCC unroll 4
    for (int u = 0; u < kUnroll; ++u) multiply(u);
    advance(kUnroll);
  }
  for (; k < depth; ++k) multiply(0), advance(1);
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      auto* out = reinterpret_cast<Vector*>(c + i * c_row + v * L);
      *out = accumulate ? *out + sum[i][v] : sum[i][v];
    }
}

// The micro-kernels for 1 .. kPanelRows rows, so that no edge computes rows that are not there.
template <class T>
using MicroKernel = void (*)(T*, int64_t, const T*, int64_t, const T*, int64_t, bool, const T*);
template <class T, int V, Walk W, size_t... I>
constexpr std::array<MicroKernel<T>, sizeof...(I)> kernels_by_rows(std::index_sequence<I...>) {
  return {&micro_kernel<T, static_cast<int>(I) + 1, V, W>...};
}
template <class T, int V, Walk W>
inline constexpr auto kMicroKernels =
    kernels_by_rows<T, V, W>(std::make_index_sequence<kPanelRows>());

// c [m, n] (+)= one block of k. The next kPanelRows rows of A are `a_next` elements on, the next
// panel of B `b_next`.
template <class T, Walk W>
void block_product(T* c, int64_t c_row, const T* a, int64_t a_stride, int64_t a_next, const T* b,
                   int64_t b_next, int64_t m, int64_t n, int64_t depth, bool accumulate) {
  constexpr int64_t MR = kPanelRows, NR = kPanelCols<T>, L = kLanes<T>;
  alignas(64) T edge[MR * NR];
  for (int64_t j = 0; j < n; j += NR, b += b_next) {
    const int64_t cols = std::min(NR, n - j);
    const auto& kernels = cols <= L ? kMicroKernels<T, 1, W> : kMicroKernels<T, 2, W>;
    const T *rows = a, *next = b + b_next;
    for (int64_t i = 0; i < m; i += MR, rows += a_next, next += depth / 4 * kLine<T>) {
      const int64_t count = std::min(MR, m - i);
      T* out = c + i * c_row + j;
      if (cols == L || cols == NR) {
        kernels[count - 1](out, c_row, rows, a_stride, b, depth, accumulate, next);
        continue;
      }
      kernels[count - 1](edge, NR, rows, a_stride, b, depth, false, next);
      for (int64_t r = 0; r < count; ++r)
        for (int64_t s = 0; s < cols; ++s)
          out[r * c_row + s] = (accumulate ? out[r * c_row + s] : T(0)) + edge[r * NR + s];
    }
  }
}

// C tile (m x n at c) = or += A times packed panels of B, each [depth][kPanelCols].
template <class T, class S>
void tile_product(T* c, int64_t c_row, const S* a, int64_t a_row, int64_t a_col, const T* b,
                  int64_t m, int64_t n, int64_t depth, bool accumulate) {
  constexpr int64_t MR = kPanelRows, NR = kPanelCols<T>;
  for (int64_t k0 = 0; k0 < depth; k0 += kBlockK) {
    const int64_t block = std::min(kBlockK, depth - k0);
    const bool add = accumulate || k0 > 0;
    const T* panels = b + k0 * NR;
    const S* left = a + k0 * a_col;
    if constexpr (std::is_same_v<T, S>) {
      if (a_col == 1) {
        block_product<T, Walk::rows>(c, c_row, left, a_row, MR * a_row, panels, depth * NR, m, n,
                                     block, add);
        continue;
      }
      if (a_row == 1 && n <= 2 * NR) {
        block_product<T, Walk::columns>(c, c_row, left, a_col, MR, panels, depth * NR, m, n, block,
                                        add);
        continue;
      }
    }
    static thread_local Scratch<T> scratch;
    T* packed = scratch.get((m + MR - 1) / MR * MR * kBlockK);
    if (a_row == 1)
      pack_steps<MR>(packed, left, m, block, a_col, 0, block);
    else
      for (int64_t i = 0; i < m; i += MR)
        pack_panel<MR>(packed + i * block, left + i * a_row, m - i, block, a_row, a_col);
    block_product<T, Walk::columns>(c, c_row, packed, MR, MR * block, panels, depth * NR, m, n,
                                    block, add);
  }
}

// Packs all of B (k x n, strides in elements).
template <class T, class S>
void pack_panels(T* dst, const S* b, int64_t b_row, int64_t b_col, int64_t n, int64_t k) {
  constexpr int64_t NR = kPanelCols<T>;
  if (b_col == 1) return pack_steps<NR>(dst, b, n, k, b_row, 0, k);
  for (int64_t j = 0; j < n; j += NR)
    pack_panel<NR>(dst + j * k, b + j * b_col, n - j, k, b_col, b_row);
}

}  // namespace hrm::cpu

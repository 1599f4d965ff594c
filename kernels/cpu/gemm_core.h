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
// B is packed, panel after panel, each [k][kPanelCols], so that it streams; the last one is as wide
// as its columns need, in whole vectors. A is read where it is if its rows or its columns are
// contiguous; columns are packed too, block by block, where many panels of B read them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "kernels/cpu/namespace.h"
#include "kernels/cpu/transpose.h"
#include "kernels/types.h"

namespace hrm::HRM_CPU {

// Rows and vectors of a block of sums. Few rows and many vectors, since every row of A that is read
// in place costs registers for addresses: 14 x 2 reaches 88 % of peak where 6 x 4 reaches 100 %. On
// ARM, g++ also keeps four steps of A in a register for each row: of the inner loop of 5 x 4, 61 %
// are multiplications, of 6 x 4 only 50 %, since it runs out of registers.
#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64, kPanelRows = 6, kPanelVectors = 4;  // 24 of 32 registers
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32, kPanelRows = 6, kPanelVectors = 2;  // 12 of 16
#elif defined(__ARM_NEON)
inline constexpr int kVectorBytes = 16, kPanelRows = 5, kPanelVectors = 4;  // 20 of 32
#elif defined(__wasm_simd128__)
inline constexpr int kVectorBytes = 16, kPanelRows = 6, kPanelVectors = 2;  // 12 of 16 of x86-64
#else
inline constexpr int kVectorBytes = 16, kPanelRows = 4, kPanelVectors = 2;
#endif

template <class T>
inline constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(T));
template <class T>
inline constexpr int64_t kPanelCols = kPanelVectors* kLanes<T>;
// The K block must not depend on the machine: it decides the order of additions.
inline constexpr int64_t kBlockK = 256;

template <class T>
inline constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));  // elements of a cache line

template <class T>
int64_t panels_of(int64_t n) {
  return (n + kPanelCols<T> - 1) / kPanelCols<T>;
}
// n columns in whole vectors: a packed B of k rows has k times as many elements.
template <class T>
int64_t whole_vectors(int64_t n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
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

// dst[k * width + r] = src[r * row_stride + k * k_stride], zero for rows <= r < width: one panel of
// a matrix with `depth` columns, widened from S to T.
template <class T, class S>
void pack_panel(T* dst, int64_t width, const S* src, int64_t rows, int64_t depth,
                int64_t row_stride, int64_t k_stride) {
  int64_t done = 0;  // rows
  if (row_stride == 1)
    for (int64_t k = 0; k < depth; ++k)
      for (done = 0; done < rows; ++done)
        dst[k * width + done] = static_cast<T>(src[k * k_stride + done]);
  if constexpr (std::is_same_v<T, S> && sizeof(T) == 4)
    if (k_stride == 1 && width % kTransposeBlock == 0)
      for (; done + kTransposeBlock <= rows; done += kTransposeBlock) {
        int64_t k = 0;
        for (; k + kTransposeBlock <= depth; k += kTransposeBlock)
          transpose_block(dst + k * width + done, width, src + done * row_stride + k, row_stride);
        for (int64_t r = done; r < done + kTransposeBlock; ++r)
          for (int64_t i = k; i < depth; ++i) dst[i * width + r] = src[r * row_stride + i];
      }
  // Blocks of 16 keep the scattered writes of a transposition within the first-level cache.
  for (int64_t k0 = 0; k0 < depth; k0 += 16) {
    const int64_t k1 = std::min(depth, k0 + 16);
    for (int64_t r = done; r < rows; ++r)
      for (int64_t k = k0; k < k1; ++k)
        dst[k * width + r] = static_cast<T>(src[r * row_stride + k * k_stride]);
    for (int64_t k = k0; k < k1; ++k)
      for (int64_t r = rows; r < width; ++r) dst[k * width + r] = T(0);
  }
}

// Panel j of B (k x n, strides in elements) within `dst`, all of packed B.
template <class T, class S>
void pack_b_panel(T* dst, const S* b, int64_t b_row, int64_t b_col, int64_t n, int64_t k,
                  int64_t j) {
  const int64_t at = j * kPanelCols<T>, cols = std::min(kPanelCols<T>, n - at);
  pack_panel(dst + at * k, whole_vectors<T>(cols), b + at * b_col, cols, k, b_col, b_row);
}

// All of it.
template <class T, class S>
void pack_panels(T* dst, const S* b, int64_t b_row, int64_t b_col, int64_t n, int64_t k) {
  for (int64_t j = 0; j < panels_of<T>(n); ++j) pack_b_panel(dst, b, b_row, b_col, n, k, j);
}

// How a micro-kernel walks through A: along contiguous rows, `a_stride` apart, or down columns of
// contiguous elements, `a_stride` apart (A transposed, or packed).
enum class Walk { rows, columns };

// c[i][j] (+)= sum_k a[i][k] b[k][j] for i < R and V vectors of columns, b a panel of that width.
// Meanwhile a part of what will be read next, from `next` on, comes nearer: a cache line for every
// four steps of k.
template <class T, int R, int V, Walk W>
void micro_kernel(T* c, int64_t c_row, const T* a, int64_t a_stride, const T* b, int64_t depth,
                  bool accumulate, const T* next) {
  typedef T Vector __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  constexpr int64_t L = kLanes<T>, NR = V * L;
  constexpr int kUnroll = 4;  // fewer counters between the multiplications
  Vector sum[R][V];
  for (auto& row : sum)
    for (Vector& s : row) s = Vector{};
  const auto multiply = [&](int u) __attribute__((always_inline)) {
    Vector x[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) x[v] = *reinterpret_cast<const Vector*>(b + u * NR + v * L);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const T factor = W == Walk::rows ? a[i * a_stride + u] : a[u * a_stride + i];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[i][v] += factor * x[v];
    }
  };
  const auto advance = [&](int steps) __attribute__((always_inline)) {
    a += W == Walk::rows ? steps : steps * a_stride;
    b += steps * NR;
  };
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) __builtin_prefetch(c + i * c_row + v * L, 1);
  int64_t k = 0;
  for (; k + kUnroll <= depth; k += kUnroll) {
    __builtin_prefetch(next, 0, 2);
    next += kLine<T>;
#pragma GCC unroll 4
    for (int u = 0; u < kUnroll; ++u) multiply(u);
    advance(kUnroll);
  }
  for (; k < depth; ++k) {
    multiply(0);
    advance(1);
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      auto* out = reinterpret_cast<Vector*>(c + i * c_row + v * L);
      *out = accumulate ? *out + sum[i][v] : sum[i][v];
    }
}

// The micro-kernels for 1 .. kPanelRows rows and 1 .. kPanelVectors vectors, so that no edge
// computes rows or vectors that are not there.
template <class T>
using MicroKernel = void (*)(T*, int64_t, const T*, int64_t, const T*, int64_t, bool, const T*);
template <class T, Walk W, size_t... I>
constexpr std::array<MicroKernel<T>, sizeof...(I)> all_kernels(std::index_sequence<I...>) {
  return {&micro_kernel<T, static_cast<int>(I) / kPanelVectors + 1,
                        static_cast<int>(I) % kPanelVectors + 1, W>...};
}
template <class T, Walk W>
inline constexpr auto kMicroKernels =
    all_kernels<T, W>(std::make_index_sequence<kPanelRows * kPanelVectors>());

// c [m, n] (+)= steps [k0, k0 + block) of k: a [m, block], the next kPanelRows rows of it `a_next`
// elements on, times packed panels of B, each [depth][its width].
template <class T, Walk W>
void block_product(T* c, int64_t c_row, const T* a, int64_t a_stride, int64_t a_next, const T* b,
                   int64_t m, int64_t n, int64_t depth, int64_t k0, int64_t block,
                   bool accumulate) {
  constexpr int64_t MR = kPanelRows, NR = kPanelCols<T>, L = kLanes<T>;
  alignas(64) T edge[MR * NR];
  const auto panel_at = [&](int64_t j) {
    return b + j * depth + k0 * std::min(NR, whole_vectors<T>(n - j));
  };
  for (int64_t j = 0; j < n; j += NR) {
    const int64_t cols = std::min(NR, n - j), vectors = (cols + L - 1) / L;
    const T *panel = panel_at(j), *rows = a, *next = j + NR < n ? panel_at(j + NR) : panel;
    for (int64_t i = 0; i < m; i += MR, rows += a_next, next += block / 4 * kLine<T>) {
      const int64_t count = std::min(MR, m - i);
      const auto kernel = kMicroKernels<T, W>[(count - 1) * kPanelVectors + vectors - 1];
      T* out = c + i * c_row + j;
      if (cols == vectors * L) {
        kernel(out, c_row, rows, a_stride, panel, block, accumulate, next);
        continue;
      }
      kernel(edge, NR, rows, a_stride, panel, block, false, next);
      for (int64_t r = 0; r < count; ++r)
        for (int64_t s = 0; s < cols; ++s)
          out[r * c_row + s] = (accumulate ? out[r * c_row + s] : T(0)) + edge[r * NR + s];
    }
  }
}

// C tile (m x n at c) = or += A times B: packed panels, or, if those are null, `b_rows`, contiguous
// rows that lie b_row apart.
template <class T, class S>
void tile_product(T* c, int64_t c_row, const S* a, int64_t a_row, int64_t a_col, const T* b,
                  int64_t m, int64_t n, int64_t depth, bool accumulate, const S* b_rows = nullptr,
                  int64_t b_row = 0) {
  constexpr int64_t MR = kPanelRows;
  static thread_local Scratch<T> b_scratch;
  const T* panels = b;
  for (int64_t k0 = 0; k0 < depth; k0 += kBlockK) {
    const int64_t block = std::min(kBlockK, depth - k0);
    const bool add = accumulate || k0 > 0;
    const S* left = a + k0 * a_col;
    int64_t panel_depth = depth, panel_k = k0;
    if (!b) {
      T* packed = b_scratch.get(whole_vectors<T>(n) * block);
      pack_panels(packed, b_rows + k0 * b_row, b_row, 1, n, block);
      panels = packed;
      panel_depth = block;
      panel_k = 0;
    }
    if constexpr (std::is_same_v<T, S>) {
      if (a_col == 1) {
        block_product<T, Walk::rows>(c, c_row, left, a_row, MR * a_row, panels, m, n, panel_depth,
                                     panel_k, block, add);
        continue;
      }
      if (a_row == 1 && n <= kPanelCols<T>) {
        block_product<T, Walk::columns>(c, c_row, left, a_col, MR, panels, m, n, panel_depth,
                                        panel_k, block, add);
        continue;
      }
    }
    static thread_local Scratch<T> scratch;
    if (!std::is_same_v<T, S> && a_col == 1) {  // rows stay rows, and are only widened
      const int64_t row = block + kLine<T>;     // so that neighbours do not share sets of the cache
      T* copy = scratch.get(row * m);
      for (int64_t r = 0; r < m; ++r) {
#pragma omp simd
        for (int64_t k = 0; k < block; ++k) copy[r * row + k] = static_cast<T>(left[r * a_row + k]);
      }
      block_product<T, Walk::rows>(c, c_row, copy, row, MR * row, panels, m, n, panel_depth,
                                   panel_k, block, add);
      continue;
    }
    // Columns far apart would share few sets of the first-level cache: copied, an odd number of
    // cache lines apart, they do not.
    const int64_t row = ((m + kLine<T> - 1) / kLine<T> | 1) * kLine<T>;
    T* copy = scratch.get(row * block);
    pack_panel(copy, row, left, m, block, a_row, a_col);
    block_product<T, Walk::columns>(c, c_row, copy, row, MR, panels, m, n, panel_depth, panel_k,
                                    block, add);
  }
}

}  // namespace hrm::HRM_CPU

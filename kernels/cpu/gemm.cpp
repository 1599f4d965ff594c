#include "kernels/gemm.h"

#include "kernels/cpu/gemm_bf16.h"
#include "kernels/cpu/gemm_core.h"
#include "kernels/cpu/parallel.h"

namespace hrm::cpu {
namespace {

// Tiles of C, work for one thread at a time: as many rows and columns as the second-level cache
// likes, in whole panels, of equal size, and a multiple of the threads.
struct Tiles {
  static constexpr int64_t kMostRows = 336, kMostCols = 256;
  Tiles(int64_t m, int64_t row_step, int64_t n, int64_t col_step)
      : m(m), n(n), row_step(row_step), col_step(col_step) {
    const auto ceil = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
    const int64_t threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    rows = ceil(m, row_step), cols = ceil(n, col_step);
    m_tiles = ceil(m, kMostRows), n_tiles = ceil(n, kMostCols);
    while (m_tiles < rows && m_tiles * n_tiles % threads != 0) ++m_tiles;
  }
  int64_t count() const { return m_tiles * n_tiles; }
  // First row, or column, of tile i; that of the next tile is the end.
  int64_t row(int64_t i) const { return std::min(m, rows * i / m_tiles * row_step); }
  int64_t col(int64_t j) const { return std::min(n, cols * j / n_tiles * col_step); }
  int64_t m, n, row_step, col_step;
  int64_t rows, cols;  // panels
  int64_t m_tiles, n_tiles;
};

// Steps of k that a thread packs at a time.
constexpr int64_t kPackSteps = 64;

template <class T, class S>
void pack(const Gemm& g, const S* b, T* panels) {
  parallel_for(panels_of<T>(g.n), kPanelCols<T> * g.k,
               [&](int64_t j) { pack_b_panel(panels, b, g.b_row, g.b_col, g.n, g.k, j); });
}

// One product, all threads. S is the type of the operands, T the type of the arithmetic, O the type
// of C. The bits of an element do not depend on its tile: every one adds up k in the same order.
template <class S, class T, class O>
void product(const Gemm& g, const S* a, const S* b, O* c) {
  static thread_local Scratch<T> b_scratch;
  const T* panels = static_cast<const T*>(g.packed_b);
  const bool in_rows = !panels && g.b_col == 1;
  if (!panels && !in_rows) {
    T* scratch = b_scratch.get(whole_vectors<T>(g.n) * g.k);
    pack(g, b, scratch);
    panels = scratch;
  }
  const Tiles tiles(g.m, kPanelRows, g.n, kPanelCols<T>);
  parallel_tasks(tiles.count(), g.m * g.n * g.k, [&](int64_t tile) {
    const int64_t ti = tile % tiles.m_tiles, tj = tile / tiles.m_tiles;
    const int64_t i = tiles.row(ti), m = tiles.row(ti + 1) - i;
    const int64_t j = tiles.col(tj), n = tiles.col(tj + 1) - j;
    O* out = c + i * g.c_row + j;
    if constexpr (std::is_same_v<T, O>) {
      tile_product(out, g.c_row, a + i * g.a_row, g.a_row, g.a_col, panels + j * g.k, m, n, g.k,
                   g.beta != 0, in_rows ? b + j : nullptr, g.b_row);
    } else {  // accumulate in T, round once
      static thread_local Scratch<T> tile_scratch;
      T* wide = tile_scratch.get(m * n);
      tile_product(wide, n, a + i * g.a_row, g.a_row, g.a_col, panels + j * g.k, m, n, g.k, false,
                   in_rows ? b + j : nullptr, g.b_row);
      for (int64_t r = 0; r < m; ++r)
        for (int64_t s = 0; s < n; ++s) {
          O& target = out[r * g.c_row + s];
          const T value = wide[r * n + s];
          target = static_cast<O>(g.beta != 0 ? value + static_cast<T>(target) : value);
        }
    }
  });
}

#if HRM_NATIVE_BF16
void pack_bf16(const Gemm& g, const bfloat16* b, bfloat16* panels) {
  const int64_t size = kBf16Cols * bf16_depth(g.k), pairs = bf16_depth(g.k) / 2;
  if (g.b_col == 1)
    return parallel_for((pairs + kPackSteps - 1) / kPackSteps, 2 * kPackSteps * g.n,
                        [&](int64_t i) {
                          pack_bf16_steps(panels, b, g.b_row, g.n, g.k, i * kPackSteps,
                                          std::min(pairs, (i + 1) * kPackSteps));
                        });
  parallel_for(bf16_panels(g.n), size, [&](int64_t j) {
    pack_bf16_panel(panels + j * size, b + j * kBf16Cols * g.b_col, g.b_row, g.b_col,
                    g.n - j * kBf16Cols, g.k);
  });
}

// The same by instructions that multiply bf16.
template <class O>
void product_bf16(const Gemm& g, const bfloat16* a, const bfloat16* b, O* c) {
  static thread_local Scratch<bfloat16> b_scratch;
  const auto* panels = static_cast<const bfloat16*>(g.packed_b);
  if (!panels) {
    bfloat16* scratch = b_scratch.get(bf16_packed_bytes(g.n, g.k) / 2);
    pack_bf16(g, b, scratch);
    panels = scratch;
  }
  const Tiles tiles(g.m, bf16_rows(), g.n, kBf16Cols);
  parallel_tasks(tiles.count(), g.m * g.n * g.k, [&](int64_t tile) {
    const int64_t ti = tile % tiles.m_tiles, tj = tile / tiles.m_tiles;
    const int64_t i = tiles.row(ti), m = tiles.row(ti + 1) - i;
    const int64_t j = tiles.col(tj), n = tiles.col(tj + 1) - j;
    bf16_tile_product(c + i * g.c_row + j, g.c_row, a + i * g.a_row, g.a_row, g.a_col,
                      panels + j * bf16_depth(g.k), m, n, g.k, g.beta != 0);
  });
}
#endif

template <class S, class O>
void batched(const Gemm& g) {
  const S *a = static_cast<const S*>(g.a), *b = static_cast<const S*>(g.b);
  O* c = static_cast<O*>(g.c);
  if (g.k == 0) {  // an empty sum
    for (int64_t i = 0; g.beta == 0 && i < g.batch; ++i)
      for (int64_t r = 0; r < g.m; ++r) std::fill_n(c + i * g.c_batch + r * g.c_row, g.n, O(0.0f));
    return;
  }
  parallel_for(g.batch, g.m * g.n * g.k, [&](int64_t i) {
#if HRM_NATIVE_BF16
    if constexpr (std::is_same_v<S, bfloat16>)
      return product_bf16(g, a + i * g.a_batch, b + i * g.b_batch, c + i * g.c_batch);
#endif
    product<S, arithmetic<S>>(g, a + i * g.a_batch, b + i * g.b_batch, c + i * g.c_batch);
  });
}

}  // namespace

int64_t packed_b_bytes(const Gemm& g) {
#if HRM_NATIVE_BF16
  if (g.type == DType::bf16) return bf16_packed_bytes(g.n, g.k);
#endif
  return visit_float(g.type, [&]<class S>() {
    using T = arithmetic<S>;
    return whole_vectors<T>(g.n) * g.k * static_cast<int64_t>(sizeof(T));
  });
}

void pack_b(const Gemm& g, void* packed) {
#if HRM_NATIVE_BF16
  if (g.type == DType::bf16)
    return pack_bf16(g, static_cast<const bfloat16*>(g.b), static_cast<bfloat16*>(packed));
#endif
  visit_float(g.type, [&]<class S>() {
    pack(g, static_cast<const S*>(g.b), static_cast<arithmetic<S>*>(packed));
  });
}

void gemm(const Gemm& g, const Context&) {
  CHECK(g.type == g.c_type || (g.type == DType::bf16 && g.c_type == DType::f32),
        "[gemm] C must have the operands' dtype, or f32 for bf16 operands; got ", g.type, " -> ",
        g.c_type);
  if (g.m == 0 || g.n == 0) return;
  switch (g.type) {
    case DType::f32:
      return batched<float, float>(g);
    case DType::f64:
      return batched<double, double>(g);
    case DType::bf16:
      return g.c_type == DType::f32 ? batched<bfloat16, float>(g) : batched<bfloat16, bfloat16>(g);
    default:
      detail::fail("[gemm] operands must be floating, got ", g.type);
  }
}

}  // namespace hrm::cpu

#include "kernels/gemm.h"

#include <unistd.h>

#include "kernels/cpu/gemm_bf16.h"
#include "kernels/cpu/gemm_core.h"
#include "kernels/cpu/parallel.h"

namespace hrm::HRM_CPU {
namespace {

// Rows of a tile of C. Every panel of B passes over the same rows of A, a block of k at a time, so
// these should stay in the second-level cache. In f32 they take a third of it, no more, since rows
// a power of two apart share a part of its sets: with 512 KiB, 336 rows of 512 would miss it four
// times as often as 168 (docs/performance.md).
int64_t most_rows() {
  static const int64_t rows = [] {
    int64_t cache = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
    cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    if (cache <= 0) cache = 1 << 20;  // not said, as often on ARM
    constexpr int64_t kRowBytes = kBlockK * static_cast<int64_t>(sizeof(float));
    return std::clamp<int64_t>(cache / 3 / kRowBytes, 48, 336);
  }();
  return rows;
}

// Tiles of C, work for one thread at a time: as many rows and columns as the second-level cache
// likes, in whole panels, of equal size, and a multiple of the threads.
struct Tiles {
  static constexpr int64_t kMostCols = 256;
  Tiles(int64_t m, int64_t row_step, int64_t n, int64_t col_step)
      : m(m), n(n), row_step(row_step), col_step(col_step) {
    const auto ceil = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
    const int64_t threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    rows = ceil(m, row_step);
    cols = ceil(n, col_step);
    m_tiles = ceil(m, most_rows());
    n_tiles = ceil(n, kMostCols);
    while (m_tiles < rows && m_tiles * n_tiles % threads != 0) ++m_tiles;
  }
  // body(i, j, m, n) for every tile: its first row and column, its rows and columns.
  template <class Body>
  void for_each(int64_t k, const Body& body) const {
    parallel_tasks(m_tiles * n_tiles, m * n * k, [&](int64_t tile) {
      const int64_t ti = tile % m_tiles, tj = tile / m_tiles, i = row(ti), j = col(tj);
      body(i, j, row(ti + 1) - i, col(tj + 1) - j);
    });
  }

 private:
  // First row, or column, of tile i; that of the next tile is the end.
  int64_t row(int64_t i) const { return std::min(m, rows * i / m_tiles * row_step); }
  int64_t col(int64_t j) const { return std::min(n, cols * j / n_tiles * col_step); }
  int64_t m, n, row_step, col_step;
  int64_t rows, cols;  // panels
  int64_t m_tiles, n_tiles;
};

// The operands of one product, ready for tiles of C to be computed, on any thread. The bits of an
// element do not depend on its tile: every one adds up k in the same order.
template <class S>
class Product {
 public:
  using T = arithmetic<S>;
  using Panels = T;

  Product(const Gemm& g, const S* a, const S* b)
      : g_(g), a_(a), b_(b), panels_(static_cast<const T*>(g.packed_b)) {
    if (panels_ || g.b_col == 1) return;  // rows of B are packed tile by tile
    static thread_local Scratch<T> scratch;
    T* panels = scratch.get(whole_vectors<T>(g.n) * g.k);
    pack(g, b, panels);
    panels_ = panels;
  }
  static void pack(const Gemm& g, const S* b, T* panels) {
    parallel_for(panels_of<T>(g.n), kPanelCols<T> * g.k,
                 [&](int64_t j) { pack_b_panel(panels, b, g.b_row, g.b_col, g.n, g.k, j); });
  }
  static int64_t packed_bytes(const Gemm& g) {
    return whole_vectors<T>(g.n) * g.k * static_cast<int64_t>(sizeof(T));
  }
  static int64_t row_step() { return kPanelRows; }
  static int64_t col_step() { return kPanelCols<T>; }

  // Rows [i, i + m) and columns [j, j + n), j a multiple of col_step, = or += into c.
  template <class O>
  void tile(O* c, int64_t c_row, int64_t i, int64_t j, int64_t m, int64_t n,
            bool accumulate) const {
    const auto sums = [&](T* out, int64_t out_row, bool add) {
      tile_product(out, out_row, a_ + i * g_.a_row, g_.a_row, g_.a_col,
                   panels_ ? panels_ + j * g_.k : nullptr, m, n, g_.k, add, b_ + j * g_.b_col,
                   g_.b_row);
    };
    if constexpr (std::is_same_v<T, O>) {
      sums(c, c_row, accumulate);
    } else {  // accumulate in T, round once
      static thread_local Scratch<T> scratch;
      T* wide = scratch.get(m * n);
      sums(wide, n, false);
      for (int64_t r = 0; r < m; ++r) {
        O* out = c + r * c_row;
        T* sum = wide + r * n;
        if (accumulate) {
#pragma omp simd
          for (int64_t s = 0; s < n; ++s) sum[s] += static_cast<T>(out[s]);
        }
#pragma omp simd
        for (int64_t s = 0; s < n; ++s) assign(out[s], sum[s]);
      }
    }
  }

 private:
  const Gemm& g_;
  const S *a_, *b_;
  const T* panels_;
};

#if HRM_NATIVE_BF16
// The same by instructions that multiply bf16.
template <>
class Product<bfloat16> {
 public:
  using Panels = bfloat16;

  Product(const Gemm& g, const bfloat16* a, const bfloat16* b)
      : g_(g), a_(a), panels_(static_cast<const bfloat16*>(g.packed_b)) {
    if (panels_) return;
    static thread_local Scratch<bfloat16> scratch;
    bfloat16* panels = scratch.get(packed_bytes(g) / 2);
    pack(g, b, panels);
    panels_ = panels;
  }
  static void pack(const Gemm& g, const bfloat16* b, bfloat16* panels) {
    constexpr int64_t kSteps = 64;  // that a thread packs at a time
    const int64_t size = kBf16Cols * bf16_depth(g.k), pairs = bf16_depth(g.k) / 2;
    if (g.b_col == 1)
      return parallel_for((pairs + kSteps - 1) / kSteps, 2 * kSteps * g.n, [&](int64_t i) {
        pack_bf16_steps(panels, b, g.b_row, g.n, g.k, i * kSteps,
                        std::min(pairs, (i + 1) * kSteps));
      });
    parallel_for(bf16_panels(g.n), size, [&](int64_t j) {
      pack_bf16_panel(panels + j * size, b + j * kBf16Cols * g.b_col, g.b_row, g.b_col,
                      g.n - j * kBf16Cols, g.k);
    });
  }
  static int64_t packed_bytes(const Gemm& g) { return bf16_packed_bytes(g.n, g.k); }
  static int64_t row_step() { return bf16_rows(); }
  static int64_t col_step() { return kBf16Cols; }

  template <class O>
  void tile(O* c, int64_t c_row, int64_t i, int64_t j, int64_t m, int64_t n,
            bool accumulate) const {
    bf16_tile_product(c, c_row, a_ + i * g_.a_row, g_.a_row, g_.a_col,
                      panels_ + j * bf16_depth(g_.k), m, n, g_.k, accumulate);
  }

 private:
  const Gemm& g_;
  const bfloat16 *a_, *panels_;
};
#endif

// One product, all threads; O is the type of C.
template <class S, class O>
void multiply(const Gemm& g, const S* a, const S* b, O* c) {
  const Product<S> product(g, a, b);
  const Tiles tiles(g.m, product.row_step(), g.n, product.col_step());
  tiles.for_each(g.k, [&](int64_t i, int64_t j, int64_t m, int64_t n) {
    product.tile(c + i * g.c_row + j, g.c_row, i, j, m, n, g.beta != 0);
  });
}

template <class S, class O>
void batched(const Gemm& g) {
  const S *a = static_cast<const S*>(g.a), *b = static_cast<const S*>(g.b);
  O* c = static_cast<O*>(g.c);
  if (g.k == 0) {  // an empty sum
    if (g.beta != 0) return;
    for (int64_t i = 0; i < g.batch; ++i)
      for (int64_t r = 0; r < g.m; ++r) std::fill_n(c + i * g.c_batch + r * g.c_row, g.n, O(0.0f));
    return;
  }
  parallel_for(g.batch, g.m * g.n * g.k, [&](int64_t i) {
    multiply(g, a + i * g.a_batch, b + i * g.b_batch, c + i * g.c_batch);
  });
}

}  // namespace

int64_t packed_b_bytes(const Gemm& g) {
  return visit_float(g.type, [&]<class S>() { return Product<S>::packed_bytes(g); });
}

void pack_b(const Gemm& g, void* packed) {
  visit_float(g.type, [&]<class S>() {
    using Panels = typename Product<S>::Panels;
    Product<S>::pack(g, static_cast<const S*>(g.b), static_cast<Panels*>(packed));
  });
}

void gemm(const Gemm& g, const Context&) {
  HRM_CHECK(g.type == g.c_type || (g.type == DType::bf16 && g.c_type == DType::f32),
            "[gemm] C must have the operands' dtype, or f32 for bf16 operands; got ", g.type,
            " -> ", g.c_type);
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

}  // namespace hrm::HRM_CPU

#include "kernels/gemm.h"

#include "kernels/cpu/gemm_core.h"
#include "kernels/cpu/parallel.h"

namespace hrm::cpu {
namespace {

// One product, all threads: pack A and B, then fixed tiles of C. S is the type of the operands, T
// the type of the arithmetic, O the type of C.
template <class S, class T, class O>
void product(const Gemm& g, const S* a, const S* b, O* c) {
  constexpr int64_t MR = kPanelRows, NR = kPanelCols<T>;
  constexpr int64_t tile_m = MR * kTilePanelsM, tile_n = NR * kTilePanelsN;
  static thread_local Scratch<T> a_scratch, b_scratch;
  const int64_t a_panels = (g.m + MR - 1) / MR, b_panels = (g.n + NR - 1) / NR;
  T* pa = a_scratch.get(a_panels * MR * g.k);
  T* pb = b_scratch.get(b_panels * NR * g.k);
  parallel_for(a_panels, MR * g.k, [&](int64_t i) {
    pack_panel<MR>(pa + i * MR * g.k, a + i * MR * g.a_row, g.m - i * MR, g.k, g.a_row, g.a_col);
  });
  parallel_for(b_panels, NR * g.k, [&](int64_t j) {
    pack_panel<NR>(pb + j * NR * g.k, b + j * NR * g.b_col, g.n - j * NR, g.k, g.b_col, g.b_row);
  });
  const int64_t tiles_m = (g.m + tile_m - 1) / tile_m, tiles_n = (g.n + tile_n - 1) / tile_n;
  parallel_for(tiles_m * tiles_n, tile_m * g.k, [&](int64_t tile) {
    const int64_t i = tile % tiles_m * tile_m, j = tile / tiles_m * tile_n;
    const int64_t m = std::min(tile_m, g.m - i), n = std::min(tile_n, g.n - j);
    O* out = c + i * g.c_row + j;
    if constexpr (std::is_same_v<T, O>) {
      tile_product(out, g.c_row, pa + i * g.k, pb + j * g.k, m, n, g.k, g.beta != 0);
    } else {  // accumulate in T, round once
      static thread_local Scratch<T> tile_scratch;
      T* wide = tile_scratch.get(tile_m * tile_n);
      tile_product(wide, tile_n, pa + i * g.k, pb + j * g.k, m, n, g.k, false);
      for (int64_t r = 0; r < m; ++r)
        for (int64_t s = 0; s < n; ++s) {
          O& target = out[r * g.c_row + s];
          const T value = wide[r * tile_n + s];
          target = static_cast<O>(g.beta != 0 ? value + static_cast<T>(target) : value);
        }
    }
  });
}

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
    product<S, arithmetic<S>>(g, a + i * g.a_batch, b + i * g.b_batch, c + i * g.c_batch);
  });
}

}  // namespace

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

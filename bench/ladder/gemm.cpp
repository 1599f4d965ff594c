// The matrix product in rungs, from three loops to the production kernel: y = x w', the product of
// a linear layer, on one thread. Each rung changes one thing; its share of the machine's peak says
// what that was worth. Run it: build/cpu/bench/ladder/gemm
// With a rung's number it runs that rung alone, five times, for a profiler or a simulated cache; 0
// is no rung, and shows what making the operands costs. A second number is the rows of a tile in
// rungs 5 and 5b.
#include "kernels/gemm.h"

#include <omp.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "kernels/cpu/gemm_core.h"

using namespace hrm;

namespace {

constexpr int64_t kRows = 656, kIn = 512, kOut = 1536;
using Matrix = std::vector<float>;

// Rung 1: the definition. Every step waits for the addition before it.
void naive(float* y, const float* x, const float* w) {
  for (int64_t i = 0; i < kRows; ++i)
    for (int64_t j = 0; j < kOut; ++j) {
      float sum = 0;
      for (int64_t k = 0; k < kIn; ++k) sum += x[i * kIn + k] * w[j * kIn + k];
      y[i * kOut + j] = sum;
    }
}

// Rung 2: the inner loop runs along a row of y, so that its additions are independent and the
// compiler can use vectors; w is read transposed.
void rows_of_y(float* y, const float* x, const float* wt) {
  for (int64_t i = 0; i < kRows; ++i) {
    float* row = y + i * kOut;
    for (int64_t j = 0; j < kOut; ++j) row[j] = 0;
    for (int64_t k = 0; k < kIn; ++k) {
      const float factor = x[i * kIn + k];
#pragma omp simd
      for (int64_t j = 0; j < kOut; ++j) row[j] += factor * wt[k * kOut + j];
    }
  }
}

// Rung 3: blocks of rows and columns of y, so that what is read again is still in a cache.
void blocked(float* y, const float* x, const float* wt) {
  constexpr int64_t rows = 16, cols = 256, depth = 128;
  std::fill_n(y, kRows * kOut, 0.0f);
  for (int64_t k0 = 0; k0 < kIn; k0 += depth)
    for (int64_t j0 = 0; j0 < kOut; j0 += cols)
      for (int64_t i0 = 0; i0 < kRows; i0 += rows)
        for (int64_t i = i0; i < std::min(i0 + rows, kRows); ++i)
          for (int64_t k = k0; k < k0 + depth; ++k) {
            const float factor = x[i * kIn + k];
            const float* from = wt + k * kOut + j0;
            float* row = y + i * kOut + j0;
#pragma omp simd
            for (int64_t j = 0; j < cols; ++j) row[j] += factor * from[j];
          }
}

// Rung 4: a small block of y stays in registers over all of k; w is packed into panels that stream.
void in_registers(float* y, const float* x, const float* panels) {
  cpu::block_product<float, cpu::Walk::rows>(y, kOut, x, kIn, cpu::kPanelRows * kIn, panels, kRows,
                                             kOut, kIn, 0, kIn, false);
}

// Tiles of y: the rows of x that a tile needs, for a block of k, stay in the second-level cache
// while every panel of w passes over them.
constexpr int64_t kTileCols = 256, kBlock = 256;
int64_t tile_rows = 168;
template <class Body>
void for_each_tile(const Body& body) {
  for (int64_t j = 0; j < kOut; j += kTileCols)
    for (int64_t i = 0; i < kRows; i += tile_rows)
      for (int64_t k = 0; k < kIn; k += kBlock) body(i, j, k, std::min(tile_rows, kRows - i));
}

// Rung 5: the same kernel within tiles; the rows of x are read where they lie.
void tiled(float* y, const float* x, const float* panels) {
  for_each_tile([&](int64_t i, int64_t j, int64_t k, int64_t rows) {
    cpu::block_product<float, cpu::Walk::rows>(y + i * kOut + j, kOut, x + i * kIn + k, kIn,
                                               cpu::kPanelRows * kIn, panels + j * kIn, rows,
                                               kTileCols, kIn, k, kBlock, k > 0);
  });
}

// Rung 5b, a side step: x is packed into panels too, as the textbook does. Where it is slower than
// rung 5, the caches held the rows without it.
void x_packed(float* y, const float* x, const float* panels) {
  constexpr int64_t height = cpu::kPanelRows;
  static Matrix packed((tile_rows + height) * kBlock);
  for_each_tile([&](int64_t i, int64_t j, int64_t k, int64_t rows) {
    for (int64_t r = 0; r < rows; r += height)
      cpu::pack_panel(packed.data() + r * kBlock, height, x + (i + r) * kIn + k,
                      std::min(height, rows - r), kBlock, kIn, 1);
    cpu::block_product<float, cpu::Walk::columns>(y + i * kOut + j, kOut, packed.data(), height,
                                                  height * kBlock, panels + j * kIn, rows,
                                                  kTileCols, kIn, k, kBlock, k > 0);
  });
}

// Rung 6: production. Tiles of equal size, as large as this processor's cache allows.
Gemm layer(float* y, const float* x, const float* w, const float* panels) {
  Gemm g;
  g.m = kRows;
  g.n = kOut;
  g.k = kIn;
  g.a = x;
  g.a_row = kIn;
  g.b = w;
  g.b_row = 1;
  g.b_col = kIn;
  g.packed_b = panels;
  g.c = y;
  g.c_row = kOut;
  return g;
}

}  // namespace

int main(int argc, char** argv) {
  omp_set_num_threads(1);
  Matrix x(kRows * kIn), w(kOut * kIn), wt(kIn * kOut), want(kRows * kOut);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3;
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i % 11) - 5;
  for (int64_t j = 0; j < kOut; ++j)
    for (int64_t k = 0; k < kIn; ++k) wt[k * kOut + j] = w[j * kIn + k];
  const Gemm g = layer(nullptr, x.data(), w.data(), nullptr);
  Matrix panels(cpu::packed_b_bytes(g) / sizeof(float));
  cpu::pack_b(g, panels.data());

  std::vector<bench::Entry> entries = bench::machine_entries();
  const size_t first = entries.size();
  std::vector<Matrix> results;
  results.reserve(7);
  const auto rung = [&](const char* name, auto work) {
    results.emplace_back(kRows * kOut);
    bench::Entry e;
    e.name = name;
    e.work = 2.0 * kRows * kIn * kOut;
    e.run = [work, y = results.back().data()] { work(y); };
    entries.push_back(e);
  };
  rung("1 naive: three loops", [&](float* y) { naive(y, x.data(), w.data()); });
  rung("2 along rows of y", [&](float* y) { rows_of_y(y, x.data(), wt.data()); });
  rung("3 blocked for the caches", [&](float* y) { blocked(y, x.data(), wt.data()); });
  rung("4 sums in registers, w packed",
       [&](float* y) { in_registers(y, x.data(), panels.data()); });
  rung("5 tiles for the second cache", [&](float* y) { tiled(y, x.data(), panels.data()); });
  rung("5b the same, x packed too", [&](float* y) { x_packed(y, x.data(), panels.data()); });
  rung("6 production",
       [&](float* y) { cpu::gemm(layer(y, x.data(), w.data(), panels.data()), {}); });
  if (argc > 2) tile_rows = std::max<int64_t>(cpu::kPanelRows, std::atoll(argv[2]));
  if (argc > 1) {
    if (argv[1] == std::string("0")) return 0;
    for (const bench::Entry& e : entries) {
      if (!e.name.starts_with(argv[1] + std::string(" "))) continue;
      for (int i = 0; i < 5; ++i) e.run();
      return 0;
    }
    std::fprintf(stderr, "[ladder] there is no rung %s. HINT: 0, 1, 2, 3, 4, 5, 5b or 6\n",
                 argv[1]);
    return 1;
  }
  naive(want.data(), x.data(), w.data());
  bench::measure(entries, 5);

  const double peak = bench::Machine::of(entries).f32;
  std::printf("y = x w', x %lld x %lld, y %lld x %lld, one thread; peak %.0f GFLOP/s\n",
              static_cast<long long>(kRows), static_cast<long long>(kIn),
              static_cast<long long>(kRows), static_cast<long long>(kOut), 1e-9 * peak);
  for (size_t i = first; i < entries.size(); ++i) {
    const bool same = results[i - first] == want;  // small whole numbers: sums are exact
    std::printf("  %-32s %8.1f GFLOP/s %5.0f%% of peak%s\n", entries[i].name.c_str(),
                1e-9 * entries[i].rate(), 100 * entries[i].rate() / peak, same ? "" : "  WRONG");
    if (!same) return 1;
  }
}

// The matrix product in rungs, from three loops to the production kernel: y = x w', the product of
// a linear layer, on one thread. Each rung changes one thing; its share of the machine's peak says
// what that was worth. Run it: build/cpu/bench/ladder/gemm
#include "kernels/gemm.h"

#include <omp.h>

#include <cmath>
#include <cstdio>
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

// Rung 5: production. Blocks of k and tiles of y around the same kernel.
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

int main() {
  omp_set_num_threads(1);
  Matrix x(kRows * kIn), w(kOut * kIn), wt(kIn * kOut), want(kRows * kOut);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3;
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i % 11) - 5;
  for (int64_t j = 0; j < kOut; ++j)
    for (int64_t k = 0; k < kIn; ++k) wt[k * kOut + j] = w[j * kIn + k];
  const Gemm g = layer(nullptr, x.data(), w.data(), nullptr);
  Matrix panels(cpu::packed_b_bytes(g) / sizeof(float));
  cpu::pack_b(g, panels.data());
  naive(want.data(), x.data(), w.data());

  std::vector<bench::Entry> entries = bench::machine_entries();
  const size_t first = entries.size();
  std::vector<Matrix> results;
  results.reserve(5);
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
  rung("5 production",
       [&](float* y) { cpu::gemm(layer(y, x.data(), w.data(), panels.data()), {}); });
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

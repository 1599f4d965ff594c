// The residual sum and RMSNorm in rungs: y = (x + r) / sqrt(mean((x + r)^2) + eps), on one thread.
// Nothing here is about arithmetic: each rung reads or writes less. Run it:
// build/cpu/bench/ladder/rms_norm
#include "kernels/rms_norm.h"

#include <omp.h>

#include <cmath>
#include <cstdio>
#include <vector>

#include "bench/measure.h"

using namespace hrm;

namespace {

constexpr int64_t kRows = 16384, kCols = 512;  // 32 MiB a matrix: memory, not a cache
constexpr float kEps = 1e-5f;

// Rung 1: one operation after the other, as a framework without fusion runs them: h = x + r,
// squares, their mean, the root, the product. Every arrow is a trip through memory.
void composed(float* y, const float* x, const float* r, float* h, float* squares, float* scale) {
  for (int64_t i = 0; i < kRows * kCols; ++i) h[i] = x[i] + r[i];
  for (int64_t i = 0; i < kRows * kCols; ++i) squares[i] = h[i] * h[i];
  for (int64_t i = 0; i < kRows; ++i) {
    float sum = 0;
    for (int64_t c = 0; c < kCols; ++c) sum += squares[i * kCols + c];
    scale[i] = 1 / std::sqrt(sum / kCols + kEps);
  }
  for (int64_t i = 0; i < kRows; ++i)
    for (int64_t c = 0; c < kCols; ++c) y[i * kCols + c] = h[i * kCols + c] * scale[i];
}

// Rung 2: row by row, so that a row stays in the first-level cache between the operations.
void by_rows(float* y, const float* x, const float* r) {
  for (int64_t i = 0; i < kRows; ++i) {
    float sum = 0;
    for (int64_t c = 0; c < kCols; ++c) {
      const float h = x[i * kCols + c] + r[i * kCols + c];
      y[i * kCols + c] = h;
      sum += h * h;
    }
    const float scale = 1 / std::sqrt(sum / kCols + kEps);
    for (int64_t c = 0; c < kCols; ++c) y[i * kCols + c] *= scale;
  }
}

// Rung 3: the sum in vector lanes (its order changes, which the compiler may not do by itself).
void vectorised(float* y, const float* x, const float* r) {
  for (int64_t i = 0; i < kRows; ++i) {
    const float *a = x + i * kCols, *b = r + i * kCols;
    float *out = y + i * kCols, sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < kCols; ++c) {
      const float h = a[c] + b[c];
      out[c] = h;
      sum += h * h;
    }
    const float scale = 1 / std::sqrt(sum / kCols + kEps);
#pragma omp simd
    for (int64_t c = 0; c < kCols; ++c) out[c] *= scale;
  }
}

}  // namespace

int main() {
  omp_set_num_threads(1);
  const auto n = static_cast<size_t>(kRows * kCols);
  std::vector<float> x(n), r(n), h(n), squares(n), scale(kRows), want(n);
  for (size_t i = 0; i < n; ++i) {
    x[i] = static_cast<float>(i % 13) - 6;
    r[i] = static_cast<float>(i % 5) - 2;
  }
  composed(want.data(), x.data(), r.data(), h.data(), squares.data(), scale.data());

  std::vector<bench::Entry> entries = bench::machine_entries();
  const size_t first = entries.size();
  std::vector<std::vector<float>> results;
  results.reserve(4);
  const auto rung = [&](const char* name, auto work) {
    results.emplace_back(n);
    bench::Entry e;
    e.name = name;
    e.work = 12.0 * static_cast<double>(n);  // x and r read, y written
    e.run = [work, y = results.back().data()] { work(y); };
    entries.push_back(e);
  };
  rung("1 one operation after another",
       [&](float* y) { composed(y, x.data(), r.data(), h.data(), squares.data(), scale.data()); });
  rung("2 row by row", [&](float* y) { by_rows(y, x.data(), r.data()); });
  rung("3 vector sums", [&](float* y) { vectorised(y, x.data(), r.data()); });
  rung("4 production", [&](float* y) {
    cpu::rms_norm(DType::f32, y, scale.data(), x.data(), r.data(), kRows, kCols, kEps, {});
  });
  bench::measure(entries, 5);

  const double copy = bench::Machine::of(entries).copy;
  std::printf("y = rms_norm(x + r), %lld x %lld, one thread; copy %.1f GB/s\n",
              static_cast<long long>(kRows), static_cast<long long>(kCols), 1e-9 * copy);
  for (size_t i = first; i < entries.size(); ++i) {
    double worst = 0;
    for (size_t k = 0; k < n; ++k)
      worst = std::max(worst, static_cast<double>(std::abs(results[i - first][k] - want[k])));
    std::printf("  %-32s %8.1f GB/s of needed traffic %5.0f%% of a copy%s\n",
                entries[i].name.c_str(), 1e-9 * entries[i].rate(), 100 * entries[i].rate() / copy,
                worst < 1e-5 ? "" : "  WRONG");
    if (!(worst < 1e-5)) return 1;
  }
}

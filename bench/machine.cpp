#include <omp.h>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <memory>
#include <vector>

#include "bench/measure.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/gemm_core.h"

namespace hrm::bench {
namespace {

constexpr int kSums = 12;  // independent sums: more than latency times throughput needs
constexpr int64_t kLoop = 20000;

volatile float sink;  // keeps a result alive

// kSums chains of step(sum), all in registers.
template <class Vector, class Step>
void chains(Vector start, const Step& step) {
  Vector sum[kSums];
#pragma GCC unroll 12
  for (int j = 0; j < kSums; ++j) sum[j] = start * static_cast<float>(j);  // no two alike
  for (int64_t i = 0; i < kLoop; ++i) {
    asm volatile("" : "+m"(sink));  // one iteration cannot be folded into the next
#pragma GCC unroll 12
    for (int j = 0; j < kSums; ++j) sum[j] = step(sum[j]);
  }
#pragma GCC unroll 12
  for (int j = 0; j < kSums; ++j) sink = sum[j][0];
}

void f32_loop() {
  typedef float Vector __attribute__((vector_size(cpu::kVectorBytes)));
  const Vector factor = Vector{} + 0.999f, add = Vector{} + 1e-6f;
  chains(add, [&](Vector s) { return s * factor + add; });
}

#if defined(__AVX512BF16__)
void dot_loop() {
  const auto x = (__m512bh)_mm512_set1_epi32(0x3c003c00);
  chains(_mm512_set1_ps(1e-6f), [&](__m512 s) { return _mm512_dpbf16_ps(s, x, x); });
}
#endif

#if HRM_AMX
void tile_loop() {
  alignas(64) static const float zeros[256] = {};
  const cpu::AmxTiles tiles;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, zeros, 64);
  _tile_loadd(5, zeros, 64);
  _tile_loadd(6, zeros, 64);
  _tile_loadd(7, zeros, 64);
  for (int64_t i = 0; i < kLoop; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}
#endif

Entry all_threads(const char* name, double work_per_thread, void (*loop)()) {
  Entry e;
  e.group = "machine";
  e.name = name;
  e.unit = Unit::flops;
  e.work = work_per_thread * omp_get_max_threads();
  e.run = [loop] {
#pragma omp parallel
    loop();
  };
  return e;
}

constexpr int64_t kFloats = 16 << 20;  // of a memory copy: 64 MiB

}  // namespace

std::vector<Entry> machine_entries() {
  std::vector<Entry> entries;
  const double lanes = cpu::kVectorBytes / 4.0;
  entries.push_back(all_threads("f32 multiply-add", 2 * lanes * kSums * kLoop, f32_loop));
#if defined(__AVX512BF16__)
  entries.push_back(all_threads("bf16 dot (AVX512)", 64.0 * kSums * kLoop, dot_loop));
#endif
#if HRM_AMX
  if (cpu::amx_available())
    entries.push_back(all_threads("bf16 tile (AMX)", 4 * 16384.0 * kLoop, tile_loop));
#endif
  auto from = std::make_shared<std::vector<float>>(kFloats, 1.0f);
  auto to = std::make_shared<std::vector<float>>(kFloats, 2.0f);
  Entry copy;
  copy.group = "machine";
  copy.name = "memory copy";
  copy.unit = Unit::bytes;
  copy.work = 8.0 * kFloats;
  copy.run = [from, to] {
    const float* source = from->data();
    float* target = to->data();
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < kFloats; ++i) target[i] = source[i];
  };
  entries.push_back(copy);
  return entries;
}

Machine Machine::of(const std::vector<Entry>& entries) {
  Machine m;
  for (const Entry& e : entries) {
    if (e.group != "machine") continue;
    if (e.name.starts_with("f32")) m.f32 = e.rate();
    if (e.name.starts_with("bf16 dot")) m.bf16_dot = e.rate();
    if (e.name.starts_with("bf16 tile")) m.bf16_tile = e.rate();
    if (e.name.starts_with("memory")) m.copy = e.rate();
  }
  return m;
}

}  // namespace hrm::bench

// What the CUDA ladders share: bf16 inputs, a reference in double, a line for each rung.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <vector>

#include "kernels/cuda/gpu.h"
#include "kernels/cuda/runtime.h"

namespace hrm::ladder {

#ifdef HRM_EMULATE
inline constexpr bool kTiny = true;  // the emulation says whether a rung is right, not how fast
#else
inline constexpr bool kTiny = false;
#endif

// Device memory with the lifetime of the object.
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t n) : n_(n), data_(cuda::allocate(bytes())) {}
  explicit Buffer(const std::vector<T>& values) : Buffer(static_cast<int64_t>(values.size())) {
    cuda::copy(data_, values.data(), bytes(), cuda::Copy::to_device, {});
  }
  ~Buffer() { cuda::release(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* data() const { return static_cast<T*>(data_); }
  std::vector<T> host() const {
    std::vector<T> values(static_cast<size_t>(n_));
    cuda::copy(values.data(), data_, bytes(), cuda::Copy::to_host, {});
    return values;
  }

 private:
  size_t bytes() const { return static_cast<size_t>(n_) * sizeof(T); }
  int64_t n_;
  void* data_;
};

// Numbers between -1 and 1 without a pattern.
inline std::vector<bfloat16> numbers(int64_t n, uint32_t seed) {
  std::vector<bfloat16> values(static_cast<size_t>(n));
  for (bfloat16& v : values) {
    seed = seed * 1664525u + 1013904223u;
    v = bfloat16(static_cast<float>(seed >> 8) * 0x1p-23f - 1);
  }
  return values;
}

// Runs a rung, compares its output with `want` and prints median time, rate and share of a copy.
// True if it is right: within 2 % of the largest value.
inline bool rung(const char* name, const Buffer<bfloat16>& out, const std::vector<double>& want,
                 double bytes, double flops, double copy_rate, const std::function<void()>& run) {
  run();
  double worst = 0, largest = 0;
  const auto got = out.host();
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::abs(static_cast<double>(static_cast<float>(got[i])) - want[i]);
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    largest = std::max(largest, std::abs(want[i]));
  }
  const bool right = worst <= 0.02 * largest;
  std::vector<double> times;
  cuda::Timer timer;
  for (int i = 0; i < (kTiny ? 1 : 11); ++i) {
    timer.start();
    run();
    timer.stop();
    times.push_back(timer.seconds());
  }
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2),
                   times.end());
  const double seconds = times[times.size() / 2];
  std::printf("%-44s %10.1f us  %6.2f TB/s (%3.0f %% of a copy)  %6.2f TFLOP/s  %s\n", name,
              1e6 * seconds, 1e-12 * bytes / seconds, 100 * bytes / seconds / copy_rate,
              1e-12 * flops / seconds, right ? "right" : "WRONG");
  return right;
}

// Bytes read plus written per second by the device's own copy.
inline double copy_rate() {
  const int64_t n = kTiny ? 1 << 12 : 1 << 29;
  Buffer<bfloat16> from(numbers(std::min<int64_t>(n, 1 << 20), 1)), a(n), b(n);
  cuda::copy(a.data(), from.data(),
             sizeof(bfloat16) * static_cast<size_t>(std::min<int64_t>(n, 1 << 20)),
             cuda::Copy::within, {});
  double best = 1e30;
  cuda::Timer timer;
  for (int i = 0; i < 5; ++i) {
    timer.start();
    cuda::copy(b.data(), a.data(), 2 * static_cast<size_t>(n), cuda::Copy::within, {});
    timer.stop();
    best = std::min(best, timer.seconds());
  }
  return 4.0 * static_cast<double>(n) / best;
}

}  // namespace hrm::ladder

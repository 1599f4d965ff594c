// OpenMP loops whose results do not depend on the number of threads: the work is cut into fixed
// chunks, and threads only decide who does which.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/namespace.h"

namespace hrm::HRM_CPU {

// Below this many elements a loop runs on the calling thread: starting the others costs more.
inline constexpr int64_t kParallelThreshold = 1 << 14;
// Elements per chunk of a flat loop.
inline constexpr int64_t kChunk = 1 << 12;

// body(i) for every i in [0, n); `cost` is the number of elements an iteration touches.
template <class Body>
void parallel_for(int64_t n, int64_t cost, const Body& body) {
  if (n <= 1 || n * cost < kParallelThreshold || omp_in_parallel()) {
    for (int64_t i = 0; i < n; ++i) body(i);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < n; ++i) body(i);
}

// The same for a few large tasks, taken as threads become free; `cost` is that of all of them.
template <class Body>
void parallel_tasks(int64_t n, int64_t cost, const Body& body) {
  if (n <= 1 || cost < kParallelThreshold || omp_in_parallel()) {
    for (int64_t i = 0; i < n; ++i) body(i);
    return;
  }
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < n; ++i) body(i);
}

// body(begin, end) over chunks of [0, n).
template <class Body>
void parallel_chunks(int64_t n, const Body& body) {
  const int64_t chunks = (n + kChunk - 1) / kChunk;
  parallel_for(chunks, kChunk, [&](int64_t c) { body(c * kChunk, std::min(n, (c + 1) * kChunk)); });
}

}  // namespace hrm::HRM_CPU

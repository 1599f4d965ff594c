// Where the time goes: every call through the dispatch seam adds to the account of its kernel. Two
// clock reads a call, always on.
#pragma once

#include <omp.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace hrm {

// The account of one call site, in a list of all of them.
struct KernelAccount {
  explicit KernelAccount(const char* kernel) : name(kernel), next(first.load()) {
    while (!first.compare_exchange_weak(next, this)) {
    }
  }
  const char* name;
  std::atomic<int64_t> thread_ns{0}, calls{0};
  KernelAccount* next;
  inline static std::atomic<KernelAccount*> first{nullptr};
};

class KernelClock {
 public:
  explicit KernelClock(KernelAccount& account) : account_(account), start_(Clock::now()) {}
  ~KernelClock() {
    // A kernel called outside a parallel region has all threads to itself.
    const int64_t threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    const std::chrono::nanoseconds spent = Clock::now() - start_;
    account_.thread_ns.fetch_add(spent.count() * threads, std::memory_order_relaxed);
    account_.calls.fetch_add(1, std::memory_order_relaxed);
  }
  KernelClock(const KernelClock&) = delete;
  KernelClock& operator=(const KernelClock&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  KernelAccount& account_;
  Clock::time_point start_;
};

struct KernelTime {
  double thread_seconds = 0;  // time times threads: a machine of N has N of them per second
  int64_t calls = 0;
};
// By kernel, since the start of the program; subtract two readings for an interval.
inline std::map<std::string, KernelTime> kernel_times() {
  std::map<std::string, KernelTime> times;
  for (const KernelAccount* a = KernelAccount::first; a; a = a->next) {
    times[a->name].thread_seconds += 1e-9 * static_cast<double>(a->thread_ns);
    times[a->name].calls += a->calls;
  }
  return times;
}

}  // namespace hrm

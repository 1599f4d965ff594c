// Where the time goes: every call through the dispatch seam adds to the account of its kernel. Two
// clock reads a call, always on.
//
//     const KernelTimes before = kernel_times();
//     work();
//     for (const auto& [kernel, share] : kernel_shares(before)) show(kernel, share);
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/trace.h"

namespace hrm {

// The account of one call site, in a list of all of them.
struct KernelAccount {
  explicit KernelAccount(const char* kernel) : name(kernel), next(first.load()) {
    while (!first.compare_exchange_weak(next, this)) {
    }
  }
  const char* name;
  std::atomic<int64_t> thread_ns{0};
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
    if (trace::on()) trace::add_kernel(account_.name, spent.count());
  }
  KernelClock(const KernelClock&) = delete;
  KernelClock& operator=(const KernelClock&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  KernelAccount& account_;
  Clock::time_point start_;
};

// Thread-seconds (time times threads) by kernel since the start of the program.
using KernelTimes = std::map<std::string, double>;
inline KernelTimes kernel_times() {
  KernelTimes times;
  for (const KernelAccount* a = KernelAccount::first; a; a = a->next)
    times[a->name] += 1e-9 * static_cast<double>(a->thread_ns);
  return times;
}

// Each kernel's share of all kernel time since `before`, largest first; empty if nothing ran.
inline std::vector<std::pair<std::string, double>> kernel_shares(const KernelTimes& before) {
  std::vector<std::pair<std::string, double>> shares;
  double total = 0;
  for (const auto& [kernel, seconds] : kernel_times()) {
    const auto old = before.find(kernel);
    const double spent = seconds - (old == before.end() ? 0 : old->second);
    if (spent <= 0) continue;
    shares.emplace_back(kernel, spent);
    total += spent;
  }
  for (auto& [kernel, share] : shares) share /= total;
  std::sort(shares.begin(), shares.end(),
            [](const auto& a, const auto& b) { return a.second > b.second; });
  return shares;
}

}  // namespace hrm

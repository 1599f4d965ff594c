// Best-of timing of many pieces of work, interleaved: on a shared machine the clock and the
// neighbours change from second to second, and only what was measured in turns can be compared.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace hrm::bench {

double now();  // seconds

enum class Unit { flops, bytes, seconds };

struct Entry {
  std::string group, name;
  Unit unit = Unit::seconds;
  double work = 0;  // floating-point operations or bytes of one run
  std::function<void()> run;
  double best = 1e30;  // seconds of one run

  double rate() const { return work / best; }  // per second
};

// Runs every entry `rounds` times in turn (short ones several times in a row) and keeps each one's
// best time. The first round warms up and does not count.
void measure(std::vector<Entry>& entries, int rounds);

// What the machine can do at best, as entries like the others: multiply-add loops that touch only
// registers, on all threads, and copies between arrays larger than any cache.
std::vector<Entry> machine_entries();

// Rates of those entries.
struct Machine {
  double f32 = 0;        // FLOP/s
  double bf16_dot = 0;   // of AVX512-BF16; 0: not there
  double bf16_tile = 0;  // of AMX; 0: not there
  double copy = 0;       // bytes read plus written per second

  double bf16() const { return std::max({f32, bf16_dot, bf16_tile}); }
  static Machine of(const std::vector<Entry>& entries);
};

}  // namespace hrm::bench

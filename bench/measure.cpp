#include "bench/measure.h"

#include <algorithm>
#include <chrono>

namespace hrm::bench {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void measure(std::vector<Entry>& entries, int rounds) {
  constexpr double kShortest = 4e-3;  // a timing takes at least this long
  std::vector<int> repeats(entries.size(), 1);
  for (int round = 0; round <= rounds; ++round)
    for (size_t i = 0; i < entries.size(); ++i) {
      Entry& e = entries[i];
      const double start = now();
      for (int r = 0; r < repeats[i]; ++r) e.run();
      const double seconds = (now() - start) / repeats[i];
      if (round == 0)
        repeats[i] = std::max(1, static_cast<int>(kShortest / seconds));
      else
        e.best = std::min(e.best, seconds);
    }
}

}  // namespace hrm::bench

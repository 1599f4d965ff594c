// Random numbers that are the same on every machine for the same seed and name.
#pragma once

#include <cstdint>
#include <random>
#include <string_view>
#include <vector>

namespace hrm::torture {

// Every case has a stream of its own, named after the case: a case can be repeated without those
// before it.
class Random {
 public:
  Random(uint64_t seed, std::string_view name) {
    std::vector<uint32_t> words = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    words.insert(words.end(), name.begin(), name.end());
    std::seed_seq sequence(words.begin(), words.end());
    engine_.seed(sequence);
  }
  // A whole number in [0, n); n must be positive.
  size_t below(size_t n) { return engine_() % n; }
  // A real number in [0, 1).
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  bool chance(double probability) { return uniform() < probability; }
  template <class List>
  const auto& pick(const List& list) {
    return list[below(list.size())];
  }
  template <class T>
  void shuffle(std::vector<T>& list) {
    for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[below(i)]);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace hrm::torture

#include <algorithm>
#include <cstdlib>
#include <string>

#include "kernels/instruction_sets.h"
#include "tensor/tensor.h"
#include "tests/support/support.h"

namespace hrm {
namespace {

TEST_CASE("instruction sets: the one in use is the best, or what HRM_ISA asks for") {
  const std::vector<InstructionSet> sets = instruction_sets();
  REQUIRE(!sets.empty());
  CHECK(std::is_sorted(sets.begin(), sets.end()));
  const char* asked = std::getenv("HRM_ISA");
  if (asked && *asked)
    CHECK(name_of(instruction_set()) == std::string(asked));
  else
    CHECK(instruction_set() == sets.back());
}

// The kernels are there before main() begins, whichever object comes first.
const Tensor made_before_main = ones({2, 3});

TEST_CASE("instruction sets: a global tensor is made with the kernels") {
  CHECK(made_before_main.to_vector() == std::vector<double>(6, 1.0));
}

}  // namespace
}  // namespace hrm

#include <algorithm>
#include <cstdlib>
#include <string>

#include "kernels/instruction_sets.h"
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

}  // namespace
}  // namespace hrm

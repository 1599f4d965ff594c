#include <algorithm>
#include <cmath>

#include "docs/course/7_halting/exercise.h"
#include "tests/course/mistake.h"

namespace hrm::course {

bool halts(const Row& row, const Rule& rule) {
  const bool last = row.steps >= rule.max_steps;
  if (last) return true;
  if (!rule.training && !mistake("halts_early_in_evaluation")) return false;
  const bool explores = row.u < rule.exploration;
  if (explores && row.steps < row.min_steps && !mistake("never_explores")) return false;
  if (mistake("compares_with_zero")) return row.q_halt > 0;
  return row.q_halt > row.q_continue;
}

int32_t next_steps(int32_t steps, bool halted) {
  return (halted && !mistake("never_starts_anew") ? 0 : steps) + 1;
}

double halt_target(const std::vector<int32_t>& predictions, const std::vector<int32_t>& labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == kIgnored && !mistake("counts_padding")) continue;
    if (predictions[i] != labels[i]) return 0;
  }
  return 1;
}

double continue_target(int32_t steps, int32_t max_steps, double next_q_halt,
                       double next_q_continue) {
  const bool last = steps >= max_steps && !mistake("goes_on_behind_the_end");
  const double q = last ? next_q_halt : std::max(next_q_halt, next_q_continue);
  return mistake("no_sigmoid") ? q : 1 / (1 + std::exp(-q));
}

}  // namespace hrm::course

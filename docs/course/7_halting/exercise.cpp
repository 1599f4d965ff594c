#include "docs/course/7_halting/exercise.h"

namespace hrm::course {

bool halts(const Row& row, const Rule& rule) {
  // Your code here.
  not_written_yet("halts", row, rule);
}

int32_t next_steps(int32_t steps, bool halted) {
  // Your code here.
  not_written_yet("next_steps", steps, halted);
}

double halt_target(const std::vector<int32_t>& predictions, const std::vector<int32_t>& labels) {
  // Your code here.
  not_written_yet("halt_target", predictions, labels);
}

double continue_target(int32_t steps, int32_t max_steps, double next_q_halt,
                       double next_q_continue) {
  // Your code here.
  not_written_yet("continue_target", steps, max_steps, next_q_halt, next_q_continue);
}

}  // namespace hrm::course

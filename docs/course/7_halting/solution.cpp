// The library's own kernels, called for a batch of one puzzle.
#include "docs/course/7_halting/exercise.h"
#include "kernels/act.h"

namespace hrm::course {

bool halts(const Row& row, const Rule& rule) {
  uint8_t halted = 0;
  const auto u = static_cast<float>(row.u);
  cpu::act_halt(&halted, DType::f64, &row.steps, &row.q_halt, &row.q_continue, &u, &row.min_steps,
                1,
                HaltRule{QHead::halt_and_continue, rule.max_steps, rule.training, rule.exploration},
                Context{});
  return halted != 0;
}

int32_t next_steps(int32_t steps, bool halted) {
  const auto flag = static_cast<uint8_t>(halted);
  cpu::act_advance(&steps, &flag, 1, Context{});
  return steps;
}

double halt_target(const std::vector<int32_t>& predictions, const std::vector<int32_t>& labels) {
  int32_t labelled = 0;
  int32_t correct = 0;
  double exact = 0;
  cpu::act_correctness(&labelled, &correct, DType::f64, &exact, predictions.data(), labels.data(),
                       1, std::ssize(labels), Context{});
  return exact;
}

double continue_target(int32_t steps, int32_t max_steps, double next_q_halt,
                       double next_q_continue) {
  double target = 0;
  cpu::act_target_q(DType::f64, &target, &steps, &next_q_halt, &next_q_continue, 1, max_steps,
                    Context{});
  return target;
}

}  // namespace hrm::course

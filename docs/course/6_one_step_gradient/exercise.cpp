#include "docs/course/6_one_step_gradient/exercise.h"

namespace hrm::course {

double full_gradient(const Scalar& recurrence) {
  // Your code here.
  not_written_yet("full_gradient", recurrence);
}

double one_step_gradient(const Scalar& recurrence) {
  // Your code here.
  not_written_yet("one_step_gradient", recurrence);
}

State run_one_step(const Recurrence& recurrence, State state, const Tensor& x) {
  // Your code here.
  not_written_yet("run_one_step", recurrence, state, x);
}

}  // namespace hrm::course

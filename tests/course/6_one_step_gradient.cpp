#include <algorithm>
#include <cmath>

#include "autograd/grad_mode.h"
#include "docs/course/6_one_step_gradient/exercise.h"
#include "tests/course/mistake.h"

namespace hrm::course {

double full_gradient(const Scalar& r) {
  double z = r.z_0;
  double gradient = 0;
  for (int i = 0; i < r.steps; ++i) {
    const double before = z;
    z = std::tanh(r.w * z + r.x);
    const double through_the_state = mistake("adds_steps_only") ? gradient : r.w * gradient;
    gradient = (1 - z * z) * (before + through_the_state);
  }
  return gradient;
}

double one_step_gradient(const Scalar& r) {
  double before = r.z_0;
  for (int i = 1; i < r.steps; ++i) before = std::tanh(r.w * before + r.x);
  const double z = std::tanh(r.w * before + r.x);
  if (mistake("first_step")) before = r.z_0;
  return (1 - z * z) * before;
}

State run_one_step(const Recurrence& recurrence, State state, const Tensor& x) {
  const auto total = static_cast<int64_t>(recurrence.updates.size());
  const int64_t recorded = mistake("records_one") ? 1 : 2;
  const int64_t first = mistake("records_all") ? 0 : std::max<int64_t>(0, total - recorded);
  for (int64_t i = mistake("recorded_updates_only") ? first : 0; i < total; ++i) {
    const GradModeGuard mode(i >= first);
    state = recurrence.apply(recurrence.updates[i], state, x);
  }
  return mistake("detaches_the_end") ? state.detach() : state;
}

}  // namespace hrm::course

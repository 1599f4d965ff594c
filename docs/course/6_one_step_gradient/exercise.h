// Exercise 6: the gradient of a recurrence through all of its steps, and through the last one
// alone.
#pragma once

#include "docs/course/course.h"
#include "hrm/model/recurrence.h"

namespace hrm::course {

// A recurrence of one number: z_{n+1} = tanh(w z_n + x), `steps` times from z_0 (steps >= 1).
struct Scalar {
  double w = 0, x = 0, z_0 = 0;
  int steps = 1;
};

// d(z at the end) / dw, through all steps: each of them uses w, and each passes on what w has done
// to the state before it.
double full_gradient(const Scalar& recurrence);

// The same where the state before the last step counts as a constant.
double one_step_gradient(const Scalar& recurrence);

// The same for a model. recurrence.updates is the list of its updates, such as L L H L L H, and
// recurrence.apply(level, state, x) returns the state after one of them. Runs all of them from
// `state` and returns the last state. Autograd records the last two alone, so that the state before
// them is a constant; the values are those of running them all.
State run_one_step(const Recurrence& recurrence, State state, const Tensor& x);

}  // namespace hrm::course

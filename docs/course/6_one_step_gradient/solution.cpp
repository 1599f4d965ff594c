// The library's own rules, for the model and for the recurrence of one number alike.
#include "autograd/engine.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/unary.h"
#include "docs/course/6_one_step_gradient/exercise.h"
#include "hrm/model/gradient_strategy.h"

namespace hrm::course {
namespace {

// The recurrence of one number as one of a model with a single state.
double gradient_under(const GradientStrategy& rule, const Scalar& scalar) {
  const auto number = [](double value) { return full({1, 1, 1}, value, DType::f64); };
  const Tensor w = number(scalar.w).set_requires_grad();
  Recurrence recurrence;
  recurrence.updates.assign(static_cast<size_t>(scalar.steps), Level::H);
  recurrence.apply = [&w](Level, const State& state, const Tensor& x) {
    return State{tanh(w * state.z_H + x), {}};
  };
  const State end = rule.run(recurrence, {number(scalar.z_0), {}}, number(scalar.x));
  return grad({end.z_H}, {w})[0].item();
}

}  // namespace

double full_gradient(const Scalar& recurrence) { return gradient_under(FullBptt(), recurrence); }

double one_step_gradient(const Scalar& recurrence) { return gradient_under(LastK(1), recurrence); }

State run_one_step(const Recurrence& recurrence, State state, const Tensor& x) {
  return LastK(2).run(recurrence, state, x);
}

}  // namespace hrm::course

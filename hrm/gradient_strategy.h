// How the gradient goes through the recurrence: a strategy runs the list of updates and decides
// which of them record, where the state is detached, and what is recomputed. Model code never asks
// which one it is. docs/gradient_tricks.md walks through writing another.
#pragma once

#include <memory>
#include <string>

#include "hrm/recurrence.h"

namespace hrm {

class GradientStrategy {
 public:
  virtual ~GradientStrategy() = default;
  // Runs every update of `recurrence` from `state`. The forward values are those of running them
  // all in order; only what is recorded differs. `x` is differentiable wherever it is recorded.
  virtual State run(const Recurrence& recurrence, State state, const Tensor& x) const = 0;
};

// Records the last k module applications; the state before them is a constant. k = 2 is HRM's
// one-step gradient (arXiv 2506.21734, eq. 8), k = L_cycles + 1 TRM's last cycle (2510.04871).
class LastK : public GradientStrategy {
 public:
  explicit LastK(int64_t k) : k_(k) {}
  State run(const Recurrence& recurrence, State state, const Tensor& x) const override;

 private:
  int64_t k_;
};

// Backpropagation through every update of the segment.
class FullBptt : public GradientStrategy {
 public:
  State run(const Recurrence& recurrence, State state, const Tensor& x) const override;
};

// The gradient of FullBptt with the memory of about sqrt(T) updates: states are kept at every
// sqrt(T)-th update and the stretch in between is recomputed in backward.
class Checkpointed : public GradientStrategy {
 public:
  State run(const Recurrence& recurrence, State state, const Tensor& x) const override;
};

// "one_step", "last_k:K", "last_cycle", "full_bptt", "checkpointed", and of equilibrium.h
// "neumann:K", "phantom:LAMBDA:K", "damped:LAMBDA:K", "anderson:K", "broyden:K"; an Error for
// anything else.
std::unique_ptr<GradientStrategy> make_gradient_strategy(const ModelConfig& config);

}  // namespace hrm

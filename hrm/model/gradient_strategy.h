// How the gradient goes through the recurrence: a strategy runs the list of updates and decides
// which of them record, where the state is detached, and what is recomputed. Model code never asks
// which one it is. docs/gradient_tricks.md walks through writing another.
//
//     const auto rule = make_gradient_strategy(config);   // the one that config.gradient names
//     const State end = rule->run(model.recurrence(), state, x);
#pragma once

#include <memory>
#include <string>

#include "hrm/model/recurrence.h"

namespace hrm {

// What a rule costs beside running the updates of a segment once, in updates.
struct GradientCost {
  double recorded = 0;  // whose activations are kept at once, for the memory
  // Products with the transposed derivative of an update, for the time: each takes as long as two
  // updates forward.
  double products = 0;
};

class GradientStrategy {
 public:
  virtual ~GradientStrategy() = default;
  // Runs every update of `recurrence` from `state`. The forward values are those of running them
  // all in order; only what is recorded differs. `x` is differentiable wherever it is recorded.
  virtual State run(const Recurrence& recurrence, State state, const Tensor& x) const = 0;
  // For a segment of so many updates; the estimate of a run is made from it.
  virtual GradientCost cost(double updates) const = 0;
};

// Records the last k module applications; the state before them is a constant. k = 2 is HRM's
// one-step gradient (arXiv 2506.21734, eq. 8), k = L_cycles + 1 TRM's last cycle (2510.04871).
class LastK : public GradientStrategy {
 public:
  explicit LastK(int64_t k) : k_(k) {}
  State run(const Recurrence& recurrence, State state, const Tensor& x) const override;
  GradientCost cost(double updates) const override;

 private:
  int64_t k_;
};

// Backpropagation through every update of the segment.
class FullBptt : public GradientStrategy {
 public:
  State run(const Recurrence& recurrence, State state, const Tensor& x) const override;
  GradientCost cost(double updates) const override { return {updates, updates}; }
};

// The gradient of FullBptt with the memory of about sqrt(T) updates: states are kept at every
// sqrt(T)-th update and the stretch in between is recomputed in backward.
class Checkpointed : public GradientStrategy {
 public:
  State run(const Recurrence& recurrence, State state, const Tensor& x) const override;
  GradientCost cost(double updates) const override;
};

// The rule of config.gradient, made by its row of the table (hrm/model/gradient_rules.cpp).
std::unique_ptr<GradientStrategy> make_gradient_strategy(const ModelConfig& config);

}  // namespace hrm

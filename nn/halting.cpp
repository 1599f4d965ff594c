#include "nn/halting.h"

#include <cmath>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"

namespace hrm {
inline namespace nn {
namespace {

void check_steps(const char* what, const Tensors& steps) {
  HRM_CHECK(!steps.empty(), "[", what, "] at least one step is needed, got none");
  for (const Tensor& t : steps)
    HRM_CHECK(t.shape() == steps[0].shape() && t.dtype() == steps[0].dtype(), "[", what,
              "] all steps must have one shape and type, got ", t.shape(), " beside ",
              steps[0].shape());
}

void check_prior(const char* what, double prior) {
  HRM_CHECK(prior > 0 && prior < 1, "[", what, "] prior must be between 0 and 1, got ", prior);
}

// log sigmoid(x), finite for every finite x.
Tensor log_sigmoid(const Tensor& x) {
  return -bce_with_logits(x, full(x.shape(), 1, x.dtype(), x.device()));
}

}  // namespace

ActState act_begin(const Shape& shape, DType dtype, Device device) {
  const auto zero = [&] { return full(shape, 0, dtype, device); };
  return {zero(), full(shape, 1, dtype, device), zero(), zero()};
}

Tensor act_step(ActState& state, const Tensor& h, bool is_last, double epsilon) {
  const Tensor none = zeros_like(state.running);
  const Tensor next = state.used + h;
  const Tensor enough = compare(CompareOp::ge, next.detach(), 1 - epsilon);
  const Tensor go_on = is_last ? none : where(enough, none, state.running);
  const Tensor goes = compare(CompareOp::gt, go_on, 0.5);
  const Tensor stops = compare(CompareOp::gt, state.running - go_on, 0.5);
  const Tensor rest = where(stops, affine(state.used, -1, 1), none);
  const Tensor p = where(goes, h, rest);
  state.steps = state.steps + state.running;
  state.cost = state.cost + rest + state.running;
  state.used = where(goes, next, state.used);
  state.running = go_on;
  return p;
}

ActWeights act_weights(const Tensors& h, double epsilon) {
  check_steps("act_weights", h);
  ActState state = act_begin(h[0].shape(), h[0].dtype(), h[0].device());
  ActWeights weights;
  for (size_t n = 0; n < h.size(); ++n)
    weights.p.push_back(act_step(state, h[n], n + 1 == h.size(), epsilon));
  weights.cost = state.cost;
  weights.steps = state.steps;
  return weights;
}

PonderWeights ponder_weights(const Tensors& logits) {
  check_steps("ponder_weights", logits);
  PonderWeights weights;
  Tensor log_left = zeros_like(logits[0]);
  for (size_t n = 0; n < logits.size(); ++n) {
    const bool is_last = n + 1 == logits.size();
    weights.log_p.push_back(is_last ? log_left : log_left + log_sigmoid(logits[n]));
    weights.p.push_back(exp(weights.log_p.back()));
    if (!is_last) log_left = log_left + log_sigmoid(-logits[n]);
  }
  return weights;
}

Tensor ponder_divergence(const PonderWeights& weights, double prior) {
  check_prior("ponder_divergence", prior);
  Tensor sum;
  for (size_t n = 0; n < weights.p.size(); ++n) {
    const bool is_last = n + 1 == weights.p.size();
    const double log_prior =
        static_cast<double>(n) * std::log1p(-prior) + (is_last ? 0 : std::log(prior));
    const Tensor term = weights.p[n] * (weights.log_p[n] - log_prior);
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

PonderStep ponder_step(const Tensor& log_left, const Tensor& logits, const Tensor& number,
                       int64_t steps, double prior) {
  check_prior("ponder_step", prior);
  const NoGradGuard no_grad;
  const Tensor is_last = compare(CompareOp::ge, number, static_cast<double>(steps));
  const Tensor zero = zeros_like(logits);
  const Tensor log_stop = where(is_last, zero, log_sigmoid(logits));
  const Tensor log_p = log_left + log_stop;
  const Tensor to_come = affine(number, std::log1p(-prior), -std::log1p(-prior));
  const Tensor log_prior =
      to_come + where(is_last, zero, full({}, std::log(prior), zero.dtype(), zero.device()));
  return {exp(log_stop), exp(log_p), log_left + log_sigmoid(-logits), log_p - log_prior};
}

Tensor weighted_sum(const Tensors& weights, const Tensors& y) {
  HRM_CHECK(!y.empty() && weights.size() == y.size(), "[weighted_sum] ", weights.size(),
            " weights are given for ", y.size(), " steps");
  Tensor sum;
  for (size_t n = 0; n < y.size(); ++n) {
    Tensor weight = weights[n];
    while (weight.ndim() < y[n].ndim())
      weight = reshape(weight, weight.shape().inserted(weight.ndim(), 1));
    const Tensor term = cast(weight, y[n].dtype()) * y[n];
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

}  // namespace nn
}  // namespace hrm

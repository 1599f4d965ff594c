#include "hrm/model/halting_rules.h"

#include <cmath>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"

namespace hrm {
namespace {

// The least and the most of a row's positions, [batch].
Tensor least_of_row(const Tensor& t) { return t.ndim() > 1 ? -max(-t, 1) : t; }
Tensor most_of_row(const Tensor& t) { return t.ndim() > 1 ? max(t, 1) : t; }

// Graves' rule: the answer is the mean of those of the segments, as if a row that has not halted
// stopped here.
void apply_act(const Model& model, Carry& carry, bool is_last, SegmentResult& result) {
  const ModelConfig& config = model.config();
  const Tensor h =
      sigmoid(config.act_per_position ? model.halt_logits(carry.state.z_H) : result.outputs.q.halt);
  const Tensor answer = cast(result.outputs.logits, carry.mixed.dtype());
  const Tensor rest = carry.act.running * (1 - carry.act.used);
  const Tensor p = act_step(carry.act, h, is_last, config.act_epsilon);
  result.outputs.logits = carry.mixed + weighted_sum({rest}, {answer});
  carry.mixed = carry.mixed + weighted_sum({p}, {answer});
  const Tensor runs = compare(CompareOp::gt, carry.act.running, 0.5);
  const Tensor used = carry.act.used.detach();
  result.done = least_of_row(where(runs, used, full({}, 1, used.dtype(), used.device())));
}

// Values of the rows that have halted.
void reset_rows(Tensor& t, double value, const Tensor& halted) {
  Shape rows = halted.shape();
  while (rows.ndim() < t.ndim()) rows = rows.inserted(rows.ndim(), 1);
  const Tensor start = full({}, value, t.dtype(), t.device());
  const Tensor fresh = where(halted.clone().view(rows), start, t);
  if (recording({t}))
    t = fresh;
  else
    t.copy_from(fresh);
}

// Both times `count`, and their sum.
void set_loss(LossTerms& loss, const Tensor& answer, const Tensor& cost, double count) {
  loss.lm = affine(answer, count);
  loss.q_halt = affine(cost, count);
  loss.total = loss.lm + cast(loss.q_halt, loss.lm.dtype());
}

}  // namespace

Tensor confidence(const ModelConfig& config, const Tensor& logits) {
  const NoGradGuard no_grad;
  const Tensor wide = cast(logits, accumulate_type(logits.dtype()));
  // As the loss reads them.
  const Tensor share = config.loss == LossType::stablemax_cross_entropy
                           ? stablemax_transform(wide)
                           : exp(wide - max(wide, 2, true));
  return least_of_row(max(share, 2) / sum(share, 2));
}

void begin_halting(const Model& model, Carry& carry) {
  const ModelConfig& config = model.config();
  const int64_t batch = carry.batch(), seq = config.seq_len;
  const DType wide = accumulate_type(config.dtype);
  const Device device = carry.steps.device();
  if (config.halting == Halting::act) {
    carry.act = act_begin(config.act_per_position ? Shape{batch, seq} : Shape{batch}, wide, device);
    carry.mixed = zeros({batch, seq, config.vocab_size}, wide, device);
  }
  if (config.halting == Halting::ponder) carry.log_left = zeros({batch}, wide, device);
}

void reset_halting(Carry& carry) {
  if (carry.mixed.defined()) {
    reset_rows(carry.act.used, 0, carry.halted);
    reset_rows(carry.act.running, 1, carry.halted);
    reset_rows(carry.act.steps, 0, carry.halted);
    reset_rows(carry.act.cost, 0, carry.halted);
    reset_rows(carry.mixed, 0, carry.halted);
  }
  if (carry.log_left.defined()) reset_rows(carry.log_left, 0, carry.halted);
}

void keep_halted_positions(const ModelConfig& config, Carry& carry, const State& before) {
  if (!config.act_per_position) return;
  const Shape positions = {carry.batch(), config.seq_len, 1};
  const Tensor runs = compare(CompareOp::gt, carry.act.running, 0.5).view(positions);
  carry.state.z_H = where(runs, carry.state.z_H, before.z_H);
  if (before.z_L.defined()) carry.state.z_L = where(runs, carry.state.z_L, before.z_L);
}

void apply_rule(const Model& model, Carry& carry, bool is_last, SegmentResult& result) {
  const ModelConfig& config = model.config();
  switch (config.halting) {
    case Halting::act:
      return apply_act(model, carry, is_last, result);
    case Halting::ponder: {
      const Tensor logits = result.outputs.q.halt.detach();
      carry.log_left = ponder_step(carry.log_left, logits, carry.steps.to(logits.dtype()),
                                   config.halt_max_steps, config.ponder_prior)
                           .log_left;
      result.done = 1 - exp(carry.log_left);
      return;
    }
    case Halting::confidence:
      result.done = confidence(config, result.outputs.logits);
      return;
    case Halting::q_learning:
    case Halting::fixed:
      return;
  }
}

Tensor segments_taken(const Carry& carry) {
  return carry.mixed.defined() ? most_of_row(carry.act.steps).to(DType::i32) : carry.steps;
}

void weigh_segments(const ModelConfig& config, const Carry& end,
                    std::vector<SegmentResult>& parts) {
  const auto count = static_cast<double>(parts.size());
  LossTerms& loss = parts.back().loss;
  if (config.halting == Halting::act) {
    // Of the positions of a row their mean.
    const double share =
        static_cast<double>(end.batch()) / static_cast<double>(end.act.cost.numel());
    set_loss(loss, loss.lm, affine(sum(end.act.cost), config.act_cost * share), count);
  } else {
    Tensors logits, losses;
    for (const SegmentResult& part : parts) {
      logits.push_back(part.outputs.q.halt);
      losses.push_back(cast(part.loss.rows, part.outputs.q.halt.dtype()));
    }
    const PonderWeights weights = ponder_weights(logits);
    const Tensor divergence = sum(ponder_divergence(weights, config.ponder_prior));
    set_loss(loss, sum(weighted_sum(weights.p, losses)), affine(divergence, config.ponder_cost),
             count);
  }
  for (size_t i = 0; i + 1 < parts.size(); ++i) parts[i].loss.total = parts[i].loss.lm = {};
}

void weigh_segment(const Model& model, const Carry& carry, const Tensor& log_left,
                   const Tensor& x_next, SegmentResult& result) {
  const ModelConfig& config = model.config();
  const double beta = config.ponder_cost, prior = config.ponder_prior;
  const auto count = static_cast<double>(config.halt_max_steps);
  const Tensor logit = result.outputs.q.halt, value = result.outputs.q.continue_;
  const DType wide = logit.dtype();
  const Tensor number = carry.steps.to(wide);
  const auto step = [&](const Tensor& left, const Tensor& halt, const Tensor& n) {
    return ponder_step(left, halt, n, config.halt_max_steps, prior);
  };
  // What all costs behind a segment have in common. It is no matter of the state, so that values
  // are counted from it.
  const auto history = [&](const PonderStep& s, const Tensor& n) {
    return beta * (s.log_left - n * std::log1p(-prior));
  };
  const PonderStep here = step(log_left, logit.detach(), number);
  Tensor to_come, advantage;
  {
    const NoGradGuard no_grad;
    const State ahead = model.segment(carry.state.detach(), x_next.detach());
    const Outputs outputs = model.heads(ahead.z_H);
    const Tensor losses = cast(loss_terms(config, outputs, carry.labels, {}).rows, wide);
    const PonderStep next = step(here.log_left, outputs.q.halt, number + 1);
    const Tensor cost = losses + beta * next.surplus;
    const Tensor beyond = outputs.q.continue_ + history(next, number + 1);
    to_come = next.stop * cost + (1 - next.stop) * beyond;
    const Tensor now = cast(result.loss.rows.detach(), wide) + beta * here.surplus;
    advantage = here.p * (1 - here.stop) * (now - to_come);
  }
  LossTerms& loss = result.loss;
  const Tensor answer = sum(here.p * cast(loss.rows, wide));
  // The head's gradient is p (1 - lambda) (c - V); its own value is no loss.
  const Tensor head = sum(advantage * (logit - logit.detach()));
  set_loss(loss, answer, beta * sum(here.p * here.surplus) + head, count);
  // Weighted by how likely it is to go on from here.
  const Tensor is_last = compare(CompareOp::ge, number, count);
  const Tensor reach = where(is_last, zeros_like(value), exp(here.log_left));
  const Tensor error = value - (to_come - history(here, number));
  loss.q_continue = count * sum(reach * error * error);
  loss.total = loss.total + cast(0.5 * loss.q_continue, loss.total.dtype());
}

}  // namespace hrm

#include "hrm/model/segment.h"

#include <optional>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/model/halting_rules.h"
#include "kernels/act.h"
#include "kernels/embedding.h"

namespace hrm {
namespace {

void reset_state(Tensor& z, const Tensor& init, const Tensor& halted) {
  if (!z.defined()) return;
  // Not in-place where earlier segments keep z for backward.
  if (recording({z})) return void(z = where(halted.clone().view({z.size(0), 1, 1}), init, z));
  HRM_DISPATCH(act_reset_state, z.context(), z.dtype(), z.data(), init.data(),
               halted.data<uint8_t>(), z.size(0), z.size(1), z.size(2));
  z.storage().bump_version();
}

void take_rows(Tensor& current, const Tensor& incoming, const Tensor& source) {
  HRM_DISPATCH(act_take_rows, current.context(), current.data<int32_t>(), incoming.data<int32_t>(),
               source.data<int32_t>(), source.numel(), current.numel() / source.numel());
  current.storage().bump_version();
}

void decide_halting(Carry& carry, const QValues& q, const Exploration& exploration,
                    const HaltRule& rule) {
  const Tensor halt = q.halt.contiguous(), go_on = q.continue_.contiguous();
  const bool explores = exploration.u.defined();
  HRM_DISPATCH(act_halt, carry.halted.context(), carry.halted.data<uint8_t>(), halt.dtype(),
               carry.steps.data<int32_t>(), halt.data(), go_on.data(),
               explores ? exploration.u.data<float>() : nullptr,
               explores ? exploration.min_steps.data<int32_t>() : nullptr, carry.batch(), rule);
  carry.halted.storage().bump_version();
}

Tensor metrics(const Carry& carry, const LossTerms& loss, const Tensor& says_done) {
  Tensor sums = empty({5}, DType::f64, says_done.device());
  const Tensor halt = says_done.contiguous(), taken = segments_taken(carry);
  HRM_DISPATCH(act_metrics, sums.context(), sums.data<double>(), carry.halted.data<uint8_t>(),
               taken.data<int32_t>(), loss.labelled.data<int32_t>(), loss.correct.data<int32_t>(),
               halt.dtype(), halt.data(), carry.batch());
  return sums;
}

// Writes what is new where the carry keeps its own (it may be a slice of a larger carry).
void store(Carry& carry, const Carry& now) {
  Tensors values;
  now.fields([&](const char*, const Tensor& t) { values.push_back(t.detach()); });
  carry.fields([&, i = 0](const char*, Tensor& t) mutable {
    const Tensor& value = values[i++];
    if (value.data() != t.data()) t.copy_from(value);
  });
}

enum class Mode {
  evaluation,
  alone,          // a training segment by itself
  among_others,   // one of several with one backward pass
  last_of_others  // behind which none comes
};

// What decides whether a row halts: its q values, or how far it is above the rule's threshold.
QValues verdict(const ModelConfig& config, const SegmentResult& result) {
  if (!result.done.defined()) return result.outputs.q;
  return {result.done - config.halt_threshold(), zeros_like(result.done)};
}

// A segment without its backward; the new state, with its history, is carry.state.
SegmentResult forward_segment(const Model& model, Carry& carry, const Exploration& exploration,
                              Mode mode, int64_t max_steps) {
  const ModelConfig& config = model.config();
  const bool training = mode != Mode::evaluation;
  SegmentResult result;
  result.puzzle_ids = carry.puzzle_ids;
  if (model.puzzle_emb) result.puzzle_rows = model.puzzle_emb->rows(carry.puzzle_ids, training);
  const Tensor x = model.input_embeddings(carry.inputs, result.puzzle_rows);
  const State before = carry.state;
  carry.state = model.segment(before, model.segment_input(x, carry.steps));
  keep_halted_positions(config, carry, before);
  result.outputs = model.heads(carry.state.z_H);
  const Tensor log_left = carry.log_left;
  apply_rule(model, carry, mode == Mode::last_of_others, result);
  const QValues says = verdict(config, result);
  decide_halting(carry, says, exploration,
                 {config.q_head, static_cast<int32_t>(max_steps), training && config.halts_early(),
                  config.halt_exploration_prob});
  const auto x_next = [&] { return model.segment_input(x, carry.steps, 1); };
  const bool q_learning = config.halting == Halting::q_learning;
  if (training && q_learning && config.continue_loss && config.halt_max_steps > 1)
    result.target_q = target_q(model, carry, carry.state.detach(), x_next());
  {
    std::optional<NoGradGuard> no_grad;
    // Of ACT the last answer alone is trained.
    if (config.halting == Halting::act && mode == Mode::among_others) no_grad.emplace();
    result.loss = loss_terms(config, result.outputs, carry.labels, result.target_q);
  }
  if (mode == Mode::alone && config.halting == Halting::ponder)
    weigh_segment(model, carry, log_left, x_next(), result);
  result.metrics = metrics(carry, result.loss, says.halt);
  return result;
}

// What has halted of all slots of the batch.
Tensor halted_of_all(const Tensor& halted, const Slots& slots) {
  if (slots.all == 0) return halted;
  if (slots.alike) return halted.slice(0, 0, 1).expand({slots.all}).contiguous();
  return slots.ranks.gather(halted);
}

}  // namespace

Carry Carry::rows(int64_t begin, int64_t end) const {
  Carry part = *this;
  part.fields([&](const char*, Tensor& t) { t = t.slice(0, begin, end); });
  return part;
}

Carry Carry::gather(const Tensor& ids) const {
  Carry picked = *this;
  picked.fields([&](const char*, Tensor& t) {
    const Tensor from = t;
    t = Tensor(from.shape().with(0, ids.numel()), from.dtype(), from.device());
    for (int64_t i = 0; i < ids.numel(); ++i) {
      const int64_t row = ids.data<int32_t>()[i];
      t.slice(0, i, i + 1).copy_from(from.slice(0, row, row + 1));
    }
  });
  return picked;
}

Carry initial_carry(const Model& model, int64_t batch) {
  Carry carry;
  const Device device = model.H_init.device();
  carry.state = model.initial_state(batch);
  carry.steps = zeros({batch}, DType::i32, device);
  carry.halted = ones({batch}, DType::u8, device);
  carry.inputs = zeros({batch, model.config().input_len()}, DType::i32, device);
  carry.labels = full({batch, model.config().seq_len}, kIgnoreLabel, DType::i32, device);
  carry.puzzle_ids = zeros({batch}, DType::i32, device);
  begin_halting(model, carry);
  return carry;
}

void begin_segment(const Model& model, Carry& carry, const Batch& incoming, Refill refill) {
  const Device device = carry.halted.device();
  begin_segment(model, carry,
                Rows{incoming.inputs.to(device), incoming.labels.to(device),
                     incoming.puzzle_ids.to(device), zeros({1}, DType::i32, device)},
                refill);
}

void begin_segment(const Model& model, Carry& carry, const Rows& rows, Refill refill,
                   const Slots& slots) {
  const int64_t batch = carry.batch();
  const Tensor halted = halted_of_all(carry.halted, slots);
  Tensor source = empty({halted.numel()}, DType::i32, halted.device());
  HRM_DISPATCH(act_refill, source.context(), source.data<int32_t>(),
               static_cast<uint32_t*>(rows.head.data()), halted.data<uint8_t>(), halted.numel(),
               rows.puzzle_ids.numel(), refill == Refill::only_halted);
  if (slots.all > 0) source = source.slice(0, slots.own.begin, slots.own.end);
  take_rows(carry.inputs, rows.inputs, source);
  take_rows(carry.labels, rows.labels, source);
  take_rows(carry.puzzle_ids, rows.puzzle_ids, source);
  reset_state(carry.state.z_H, model.H_init, carry.halted);
  reset_state(carry.state.z_L, model.L_init, carry.halted);
  reset_halting(carry);
  HRM_DISPATCH(act_advance, carry.steps.context(), carry.steps.data<int32_t>(),
               carry.halted.data<uint8_t>(), batch);
  if (trace::on()) trace_op("begin_segment", {carry.state.z_H, carry.state.z_L}, {carry.inputs});
}

Exploration Exploration::draw(const ModelConfig& config, int64_t batch, Random& random,
                              Device device) {
  if (config.halt_exploration_prob <= 0 || config.halt_max_steps <= 1) return {};
  return {random.uniform({batch}, 0, 1, DType::f32, device),
          random.randint({batch}, 2, static_cast<int32_t>(config.halt_max_steps), device)};
}

void Exploration::redraw(const ModelConfig& config, Random& random) {
  if (!u.defined()) return;
  random.uniform_into(u, 0, 1);
  random.randint_into(min_steps, 2, static_cast<int32_t>(config.halt_max_steps));
}

Exploration Exploration::rows(int64_t begin, int64_t end) const {
  if (!u.defined()) return {};
  return {u.slice(0, begin, end), min_steps.slice(0, begin, end)};
}

LossTerms loss_terms(const ModelConfig& config, const Outputs& outputs, const Tensor& labels,
                     const Tensor& target) {
  const int64_t batch = labels.size(0), seq = labels.size(1);
  LossTerms terms;
  terms.predictions = argmax(outputs.logits.detach());
  terms.labelled = empty({batch}, DType::i32, labels.device());
  terms.correct = empty({batch}, DType::i32, labels.device());
  terms.exact = empty({batch}, outputs.q.halt.dtype(), labels.device());
  const Tensor dense = labels.contiguous();
  HRM_DISPATCH(act_correctness, labels.context(), terms.labelled.data<int32_t>(),
               terms.correct.data<int32_t>(), terms.exact.dtype(), terms.exact.data(),
               terms.predictions.data<int32_t>(), dense.data<int32_t>(), batch, seq);

  const Tensor token_loss = cross_entropy(config.loss, outputs.logits, dense);  // (B, S)
  const Tensor one = ones({}, DType::i32, labels.device());
  const Tensor divisor = maximum(terms.labelled, one).view({batch, 1}).to(token_loss.dtype());
  const Tensor weighted = token_loss / divisor;
  terms.lm = sum(weighted);
  if (config.halting == Halting::ponder) terms.rows = sum(weighted, 1);
  if (config.halting != Halting::q_learning) {
    terms.total = terms.lm;
    return terms;
  }
  terms.q_halt = sum(bce_with_logits(outputs.q.halt, terms.exact));
  Tensor q = terms.q_halt;
  if (target.defined()) {
    terms.q_continue = sum(bce_with_logits(outputs.q.continue_, target));
    q = q + terms.q_continue;
  }
  terms.total = terms.lm + cast(0.5 * q, terms.lm.dtype());
  return terms;
}

Tensor target_q(const Model& model, const Carry& carry, const State& state, const Tensor& x) {
  const NoGradGuard no_grad;
  const QValues next = model.next_q_values(state, x.detach());
  const Tensor halt = next.halt.contiguous(), go_on = next.continue_.contiguous();
  Tensor target = empty_like(halt);
  HRM_DISPATCH(act_target_q, target.context(), target.dtype(), target.data(),
               carry.steps.data<int32_t>(), halt.data(), go_on.data(), carry.batch(),
               static_cast<int32_t>(model.config().halt_max_steps));
  return target;
}

void run_ahead(const Model& model, Carry& carry, int64_t segments) {
  const NoGradGuard no_grad;
  Tensor puzzle_rows;
  if (model.puzzle_emb) puzzle_rows = model.puzzle_emb->rows(carry.puzzle_ids, false);
  const Tensor x = model.input_embeddings(carry.inputs, puzzle_rows);
  Carry now = carry;
  for (int64_t i = 0; i < segments; ++i) now.state = model.segment(now.state, x);
  store(carry, now);
}

SegmentResult train_segment(const Model& model, Carry& carry, const Exploration& exploration,
                            double loss_scale) {
  HRM_CHECK(model.config().halting != Halting::act,
            "[segment] halting act weighs all segments of a puzzle together. HINT: train_segments");
  Carry now = carry;
  SegmentResult result =
      forward_segment(model, now, exploration, Mode::alone, model.config().halt_max_steps);
  backward(result.loss.total * loss_scale);
  store(carry, now);  // after backward: strategies save the state they started from
  return result;
}

std::vector<SegmentResult> train_segments(const Model& model, Carry& carry, const Rows& rows,
                                          Refill refill, const Exploration& exploration,
                                          int64_t count, double loss_scale, const Slots& slots) {
  const int64_t batch = carry.batch(), max_steps = model.config().halt_max_steps;
  const Halting halting = model.config().halting;
  const bool weighs = halting == Halting::act || halting == Halting::ponder;
  HRM_CHECK(!weighs || count == max_steps, "[segment] halting ", to_string(halting),
            " weighs all segments of a puzzle: they must be halt_max_steps ", max_steps, ", got ",
            count);
  std::vector<SegmentResult> parts;
  Carry now = carry;
  Tensor total;
  for (int64_t i = 0; i < count; ++i) {
    // Backward needs what the last segment read; the state goes on as it is.
    now.fields([](const char*, Tensor& t) { t = is_floating(t.dtype()) ? t : t.clone(); });
    begin_segment(model, now, rows, refill, slots);
    const Exploration draws = exploration.rows(i * batch, (i + 1) * batch);
    const Mode mode = i + 1 < count ? Mode::among_others : Mode::last_of_others;
    parts.push_back(forward_segment(model, now, draws, mode, max_steps));
    if (!weighs) total = i > 0 ? total + parts[i].loss.total : parts[i].loss.total;
  }
  if (weighs) {
    weigh_segments(model.config(), now, parts);
    total = parts.back().loss.total;
  }
  backward(total * loss_scale);
  store(carry, now);
  return parts;
}

SegmentResult eval_segment(const Model& model, Carry& carry, int64_t max_steps) {
  const NoGradGuard no_grad;
  if (max_steps == 0) max_steps = model.config().halt_max_steps;
  Carry now = carry;
  SegmentResult result = forward_segment(model, now, {}, Mode::evaluation, max_steps);
  store(carry, now);
  return result;
}

}  // namespace hrm

// The rules of halting in HRM: what each does to a step, to the loss and to an evaluation. Their
// mathematics alone is tested in test_halting.cpp.
#include <algorithm>
#include <array>
#include <cmath>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/model/halting_rules.h"
#include "hrm/presets.h"
#include "hrm/train/run_files.h"
#include "hrm/train/trainer.h"
#include "tests/support/small_run.h"

using namespace hrm;
using namespace hrm::test;

namespace {

constexpr int64_t kSegments = 3;

struct Case {
  const char* rule;
  bool per_position = false;
  bool alone = false;  // one segment at a time
};

// A run whose puzzles all take part in whole windows, where the rule asks for it.
struct RuleRun : SmallRun {
  explicit RuleRun(const char* halting, bool per_position = false, bool alone = false)
      : SmallRun(8) {
    ModelConfig& m = config.model;
    config.set("halting", halting);
    m.dtype = DType::f64;
    m.halt_max_steps = kSegments;
    config.train.batch_size = 4;
    config.train.eval_puzzles = 8;
    const bool weighs = m.halting == Halting::act || m.halting == Halting::ponder;
    if (weighs && !alone) config.train.unroll_segments = kSegments;
    if (per_position) {
      m.act_per_position = true;
      m.puzzle_emb_ndim = 0;
    }
    config.validate();
  }
};

double worst(const Tensor& a, const Tensor& b) {
  return max(reshape(abs(a.to(DType::f64) - b.to(DType::f64)), {-1}), 0).to_vector()[0];
}

// A window on fresh weights whose halting head says something of its own for every state.
struct Window {
  Window(const SmallRun& s, Device device) : config(s.config.model) {
    Random random(5);
    model = std::make_unique<Model>(config, &random, device);
    Tensor head =
        random.normal(model->q_head.weight.value.shape(), 0.5, model->q_head.weight.value.dtype());
    model->q_head.weight.value.detach().copy_from(head.to(device));
    batch = eval_batch(*s.test, 0, 4);
    rows = {batch.inputs.to(device), batch.labels.to(device), batch.puzzle_ids.to(device),
            zeros({1}, DType::i32, device)};
  }
  std::vector<SegmentResult> train(double scale = 1) {
    Carry carry = initial_carry(*model, 4);
    rows.head.zero();
    return train_segments(*model, carry, rows, Refill::reference, {}, kSegments, scale);
  }
  // The loss of the window, a mean over its rows.
  double loss() { return train().back().loss.total.item() / kSegments / 4; }

  ModelConfig config;
  std::unique_ptr<Model> model;
  Batch batch;
  Rows rows;
};

}  // namespace

TEST_CASE("halting rules: runs are cut and resumed to the same bits") {
  for (const Case& c : {Case{"fixed", false, false},
                        {"confidence", false, false},
                        {"act", false, false},
                        {"act", true, false},
                        {"ponder", false, false},
                        {"ponder", false, true}}) {
    CAPTURE(std::string(c.rule));
    const RuleRun s(c.rule, c.per_position, c.alone);
    const auto whole = s.trainer("whole"), cut = s.trainer("cut");
    whole->run({});
    int64_t lines = 0;
    TrainCallbacks stop;
    stop.stop = [&] { return ++lines >= 7; };
    cut->run(stop);
    REQUIRE(cut->steps_done() < 12);
    // In the middle of puzzles, if these are trained one segment at a time.
    REQUIRE(cut->steps_done() % kSegments != 0);
    const auto resumed = s.trainer("cut");
    resumed->resume();
    resumed->run({});
    CHECK(same_weights(whole->model(), resumed->model()));
  }
}

TEST_CASE(
    "halting act: the answer is the weighted mean, in training and one by one, every device") {
  for (const Device device : devices())
    for (const bool per_position : {false, true}) {
      const RuleRun s("act", per_position);
      Window w(s, device);
      const Tensor trained = w.train().back().outputs.logits.detach();

      // The same by hand: every segment's own answer, weighted by act_weights.
      const NoGradGuard no_grad;
      Carry carry = initial_carry(*w.model, 4);
      Tensors h, answers, shown;
      ModelConfig plain = w.config;
      plain.halting = Halting::fixed;
      plain.act_per_position = false;
      for (int64_t n = 0; n < kSegments; ++n) {
        begin_segment(*w.model, carry, w.batch, Refill::reference);
        const SegmentResult one = eval_segment(*w.model, carry);
        shown.push_back(one.outputs.logits);
        const Outputs own = w.model->heads(carry.state.z_H);
        answers.push_back(own.logits);
        h.push_back(sigmoid(per_position ? w.model->halt_logits(carry.state.z_H) : own.q.halt));
      }
      const ActWeights weights = act_weights(h, w.config.act_epsilon);
      CHECK(worst(trained, weighted_sum(weights.p, answers)) < 1e-9);
      CHECK(worst(shown.back(), trained) < 1e-9);
    }
}

TEST_CASE("halting act, ponder: gradients of a window are those of differences") {
  for (const Case& c : {Case{"act", false}, {"act", true}, {"ponder", false}}) {
    CAPTURE(std::string(c.rule));
    RuleRun s(c.rule, c.per_position);
    s.config.model.gradient = "full_bptt";
    s.config.model.act_cost = 0.2;
    s.config.model.ponder_cost = 0.3;
    Window w(s, Device::cpu);
    w.model->zero_grad();
    w.train(1.0 / kSegments / 4);
    std::vector<Parameter*> parameters = {&w.model->q_head.weight, &w.model->lm_head.weight,
                                          &w.model->embed_tokens.weight};
    parameters.push_back(w.model->H_level->named_parameters()[0].second);
    std::vector<std::vector<double>> gradients;
    for (const Parameter* p : parameters) gradients.push_back(p->value.grad().to_vector());
    for (size_t k = 0; k < parameters.size(); ++k) {
      const Parameter* p = parameters[k];
      const std::vector<double>& gradient = gradients[k];
      const std::vector<double> at = p->value.to_vector();
      for (const size_t i : {size_t{0}, size_t{3}, at.size() / 2 - 1}) {
        const auto loss_at = [&](double value) {
          std::vector<double> moved = at;
          moved[i] = value;
          p->value.detach().copy_from(from_vector(moved, p->value.shape()));
          return w.loss();
        };
        constexpr double kStep = 1e-5;
        const double numeric = (loss_at(at[i] + kStep) - loss_at(at[i] - kStep)) / (2 * kStep);
        loss_at(at[i]);
        CHECK(gradient[i] == doctest::Approx(numeric).epsilon(1e-4));
      }
    }
  }
}

TEST_CASE("halting ponder: the loss is the weighted sum of the segments' losses, on every device") {
  for (const Device device : devices()) {
    RuleRun s("ponder");
    s.config.model.ponder_cost = 0.3;
    Window w(s, device);
    const double total = w.loss();
    const NoGradGuard no_grad;
    Carry carry = initial_carry(*w.model, 4);
    Tensors logits, losses;
    for (int64_t n = 0; n < kSegments; ++n) {
      begin_segment(*w.model, carry, w.batch, Refill::reference);
      const SegmentResult one = eval_segment(*w.model, carry);
      logits.push_back(one.outputs.q.halt);
      losses.push_back(one.loss.rows);
      // What has halted by now, as if this segment was not the last.
      double left = 1;
      for (const Tensor& l : logits) left /= 1 + std::exp(l.to_vector()[1]);
      CHECK(one.done.to_vector()[1] == doctest::Approx(1 - left));
    }
    const PonderWeights weights = ponder_weights(logits);
    const double want = (sum(weighted_sum(weights.p, losses)) +
                         0.3 * sum(ponder_divergence(weights, w.config.ponder_prior)))
                            .item() /
                        4;
    CHECK(total == doctest::Approx(want));
  }
}

TEST_CASE(
    "halting ponder: one segment at a time, with what is to come from the next, every device") {
  for (const Device device : devices()) {
    RuleRun s("ponder", false, true);
    s.config.model.halt_max_steps = 2;
    s.config.model.ponder_cost = 0.3;
    Window w(s, device);
    // With two segments nothing behind the next one is estimated, so that the gradients of what
    // reads the states are those of a whole window.
    w.model->zero_grad();
    Carry carry = initial_carry(*w.model, 4);
    train_segments(*w.model, carry, w.rows, Refill::reference, {}, 2, 1);
    const std::vector<double> lm_head = w.model->lm_head.weight.value.grad().to_vector();
    const std::vector<double> q_head = w.model->q_head.weight.value.grad().to_vector();
    w.model->zero_grad();
    carry = initial_carry(*w.model, 4);
    double loss = 0;
    for (int64_t n = 0; n < 2; ++n) {
      begin_segment(*w.model, carry, w.batch, Refill::reference);
      const SegmentResult one = train_segment(*w.model, carry, {}, 1);
      CHECK(carry.halted.to_vector() == std::vector<double>(4, static_cast<double>(n)));
      loss += one.loss.lm.item() + one.loss.q_halt.item();
      CHECK((one.loss.q_continue.item() > 0) == (n == 0));  // the last segment has no future
    }
    const std::vector<double> lm_alone = w.model->lm_head.weight.value.grad().to_vector();
    const std::vector<double> q_alone = w.model->q_head.weight.value.grad().to_vector();
    for (size_t i = 0; i < lm_head.size(); ++i)
      CHECK(lm_alone[i] == doctest::Approx(lm_head[i]).epsilon(1e-6));
    // The first row of the head is q_halt, the second the value.
    for (size_t i = 0; i < q_head.size() / 2; ++i)
      CHECK(q_alone[i] == doctest::Approx(q_head[i]).epsilon(1e-6));
    carry = initial_carry(*w.model, 4);
    w.rows.head.zero();
    const auto parts = train_segments(*w.model, carry, w.rows, Refill::reference, {}, 2, 1);
    CHECK(loss == doctest::Approx(parts.back().loss.total.item()));
  }
}

TEST_CASE("halting act: a position that halts keeps its state") {
  RuleRun s("act", true);
  Window w(s, Device::cpu);
  const NoGradGuard no_grad;
  const auto after_one = [&] {
    Carry carry = initial_carry(*w.model, 4);
    begin_segment(*w.model, carry, w.batch, Refill::reference);
    eval_segment(*w.model, carry);
    return carry;
  };
  // Half of the positions halt at once, the others never: by whether a feature is above its median.
  const int64_t width = w.config.hidden_size;
  const std::vector<double> states = after_one().state.z_H.to_vector();
  std::vector<double> feature;
  for (size_t i = 0; i < states.size(); i += width) feature.push_back(states[i]);
  std::ranges::nth_element(feature, feature.begin() + std::ssize(feature) / 2);
  constexpr double kSharp = 1e4;
  Tensor head = zeros(w.model->q_head.weight.value.shape(), DType::f64);
  head.data<double>()[0] = kSharp;
  w.model->q_head.weight.value.detach().copy_from(head);
  w.model->q_head.bias.value.detach().fill(-kSharp * feature[feature.size() / 2]);
  Carry carry = after_one();
  const std::vector<double> first = carry.state.z_H.to_vector();
  const std::vector<double> running = carry.act.running.to_vector();
  begin_segment(*w.model, carry, w.batch, Refill::reference);
  eval_segment(*w.model, carry);
  const std::vector<double> second = carry.state.z_H.to_vector();
  int kept = 0;
  for (size_t i = 0; i < running.size(); ++i) {
    const bool same = std::equal(&first[i * width], &first[(i + 1) * width], &second[i * width]);
    CHECK(same == (running[i] == 0));
    kept += same;
  }
  CHECK(kept > 0);
  CHECK(kept < static_cast<int>(running.size()));
}

TEST_CASE("halting rules: an evaluation with halting stops where the rule says so") {
  for (const char* rule : {"act", "ponder", "confidence"}) {
    CAPTURE(rule);
    RuleRun s(rule);
    Window w(s, Device::cpu);
    EvalOptions options;
    options.segments = 12;
    const EvalResult all = evaluate(*w.model, *s.test, options);
    options.halting = true;
    const EvalResult halted = evaluate(*w.model, *s.test, options);
    CHECK(all.mean_steps == 12);
    CHECK(halted.mean_steps == doctest::Approx([&] {
            double sum = 0;
            for (size_t i = 1; i < all.halt_histogram.size(); ++i)
              sum += static_cast<double>(i * all.halt_histogram[i]);
            return sum / static_cast<double>(all.count);
          }()));
    if (rule != std::string("act")) continue;
    // A halted answer stays, however long the others go on.
    CHECK(halted.accuracy == doctest::Approx(all.accuracy));
    CHECK(halted.mean_steps < 12);
    CHECK(std::ranges::count_if(all.halt_histogram, [](int64_t n) { return n > 0; }) > 1);
  }
  RuleRun s("fixed");
  Window w(s, Device::cpu);
  EvalOptions options;
  options.halting = true;
  expect_error([&] { evaluate(*w.model, *s.test, options); },
               "trained with halting fixed, so it has no rule to stop a puzzle by. HINT:");
  options.halt_by = HaltBy::repeat;
  CHECK(evaluate(*w.model, *s.test, options).mean_steps <= kSegments);
}

TEST_CASE("halting confidence: the least sure cell decides, in training too") {
  RuleRun s("confidence");
  s.config.model.halt_exploration_prob = 0;
  s.config.model.halt_confidence = 0;  // every cell is as sure as that
  Window w(s, Device::cpu);
  Carry carry = initial_carry(*w.model, 4);
  begin_segment(*w.model, carry, w.batch, Refill::reference);
  const SegmentResult result = train_segment(*w.model, carry, {}, 1);
  CHECK(carry.halted.to_vector() == std::vector<double>(4, 1));
  const Tensor share = stablemax_transform(result.outputs.logits.detach());  // as in its loss
  const std::vector<double> p = (share / sum(share, 2, true)).to_vector();
  const auto vocab = static_cast<size_t>(w.config.vocab_size), cells = p.size() / 4 / vocab;
  for (size_t row = 0; row < 4; ++row) {
    double least = 1;
    for (size_t cell = 0; cell < cells; ++cell) {
      const auto begin = p.begin() + static_cast<int64_t>((row * cells + cell) * vocab);
      least = std::min(least, *std::max_element(begin, begin + static_cast<int64_t>(vocab)));
    }
    CHECK(result.done.to_vector()[row] == doctest::Approx(least));
  }
  CHECK_FALSE(result.loss.q_halt.defined());
  CHECK(result.loss.total.item() == doctest::Approx(result.loss.lm.item()));
}

TEST_CASE("halting confidence: probabilities are those of the loss") {
  const Tensor logits = from_vector<double>({6.5, -5, -5, 2, 2, -5}, {1, 2, 3});
  ModelConfig config = preset("sudoku4").model;
  REQUIRE(config.loss == LossType::stablemax_cross_entropy);
  // s(2) = 3, s(-5) = 1/6: the second cell is undecided between two.
  CHECK(confidence(config, logits).to_vector()[0] == doctest::Approx(3 / (6 + 1.0 / 6)));
  config.loss = LossType::softmax_cross_entropy;
  CHECK(confidence(config, logits).to_vector()[0] == doctest::Approx(1 / (2 + std::exp(-7.0))));
  CHECK(confidence(config, logits).dtype() == DType::f64);
}

TEST_CASE("halting ponder: what is estimated to come behind the next segment counts") {
  RuleRun s("ponder", false, true);
  s.config.model.ponder_cost = 0;  // costs are losses
  Window w(s, Device::cpu);
  constexpr double kValue = 0.7;
  // The same value for every state.
  Tensor head = w.model->q_head.weight.value.detach().clone();
  const int64_t width = w.config.hidden_size;
  std::fill_n(head.data<double>() + width, width, 0);
  w.model->q_head.weight.value.detach().copy_from(head);
  w.model->q_head.bias.value.detach().copy_from(from_vector<double>({0.3, kValue}, {2}));
  Carry carry = initial_carry(*w.model, 4);
  begin_segment(*w.model, carry, w.batch, Refill::reference);
  Carry ahead = carry;
  ahead.fields([](const char*, Tensor& t) { t = t.clone(); });
  const SegmentResult one = train_segment(*w.model, carry, {}, 1);
  // The next segment by hand.
  eval_segment(*w.model, ahead);
  begin_segment(*w.model, ahead, w.batch, Refill::reference);
  const SegmentResult next = eval_segment(*w.model, ahead);
  double want = 0, slope = 0;
  for (int b = 0; b < 4; ++b) {
    const auto at = [&](const Tensor& t) { return t.to_vector()[b]; };
    const double stop_here = 1 / (1 + std::exp(-at(one.outputs.q.halt)));
    const double stop_next = 1 / (1 + std::exp(-at(next.outputs.q.halt)));
    const double to_come = stop_next * at(next.loss.rows) + (1 - stop_next) * kValue;
    want += (1 - stop_here) * (kValue - to_come) * (kValue - to_come);
    slope += stop_here * (1 - stop_here) * (at(one.loss.rows) - to_come);
  }
  CHECK(one.loss.q_continue.item() == doctest::Approx(kSegments * want));
  // The bias of q_halt adds to all logits.
  CHECK(w.model->q_head.bias.value.grad().to_vector()[0] == doctest::Approx(kSegments * slope));
}

TEST_CASE("halting ponder: the next puzzle of a slot has not halted yet, on every device") {
  for (const Device device : devices()) {
    const RuleRun s("ponder", false, true);
    Window w(s, device);
    Carry carry = initial_carry(*w.model, 4);
    for (int64_t n = 0; n <= kSegments; ++n) {
      begin_segment(*w.model, carry, w.batch, Refill::reference);
      const SegmentResult one = train_segment(*w.model, carry, {}, 1);
      if (n % kSegments != 0) continue;
      const double first = one.outputs.q.halt.to_vector()[0];
      CHECK(one.done.to_vector()[0] == doctest::Approx(1 / (1 + std::exp(-first))));
    }
  }
}

TEST_CASE("halting ponder, confidence: micro-batches give the gradient of the whole batch") {
  for (const char* rule : {"ponder", "confidence"}) {
    CAPTURE(std::string(rule));
    RuleRun s(rule, false, true);
    const auto whole = s.trainer("whole");
    s.config.train.micro_batches = 2;
    const auto parts = s.trainer("parts");
    for (int i = 0; i < 4; ++i) {
      whole->step();
      parts->step();
    }
    CHECK(weight_difference(whole->model(), parts->model()) < 1e-6);
  }
}

TEST_CASE("halting rules: bf16 trains and evaluates, on every device") {
  for (const Device device : devices())
    for (const Case& c : {Case{"confidence", false, true},
                          {"act", true, false},
                          {"ponder", false, false},
                          {"ponder", false, true}}) {
      CAPTURE(std::string(c.rule));
      RuleRun s(c.rule, c.per_position, c.alone);
      s.config.model.dtype = DType::bf16;
      s.config.train.batch_size = 2;
      const auto trainer = s.trainer(std::string(c.rule) + (c.alone ? "1" : ""), device);
      for (int i = 0; i < 2; ++i) trainer->step();
      EvalOptions options;
      options.max_puzzles = 2;
      options.halting = true;
      const EvalResult result = evaluate(trainer->model(), *s.test, options);
      CHECK(std::isfinite(result.accuracy));
      CHECK(result.mean_steps >= 1);
    }
}

TEST_CASE("halting rules: a segment reads the input of its number, and so does the target of q") {
  RuleRun s("q_learning");
  s.config.model.step_signal = s.config.model.input_once = true;
  Window w(s, Device::cpu);
  const NoGradGuard no_grad;
  const Tensor ids = w.model->puzzle_emb->rows(w.batch.puzzle_ids, false);
  const Tensor x = w.model->input_embeddings(w.batch.inputs, ids);
  const auto number = [](int32_t n) { return full({4}, n, DType::i32); };
  Carry carry = initial_carry(*w.model, 4);
  State state = w.model->initial_state(4);
  for (int32_t n = 1; n <= 2; ++n) {
    begin_segment(*w.model, carry, w.batch, Refill::reference);
    eval_segment(*w.model, carry);
    state = w.model->segment(state, w.model->segment_input(x, number(n)));
    CHECK(worst(carry.state.z_H, state.z_H) == 0);
  }
  const Tensor third = w.model->segment_input(x, number(3));
  CHECK(worst(w.model->segment_input(x, number(2), 1), third) == 0);
  // The target of q in segment 1 is read from segment 2.
  carry = initial_carry(*w.model, 4);
  begin_segment(*w.model, carry, w.batch, Refill::reference);
  SegmentResult one;
  {
    const GradModeGuard record(true);
    one = train_segment(*w.model, carry, {}, 1);
  }
  const auto target = [&](int32_t n) {
    return target_q(*w.model, carry, carry.state, w.model->segment_input(x, number(n)));
  };
  CHECK(worst(one.target_q, target(2)) < 1e-12);
  CHECK(worst(one.target_q, target(1)) > 1e-6);
}

TEST_CASE("halting rules: settings that do not fit are refused") {
  Config c = preset("sudoku4");
  c.model.halting = Halting::act;
  expect_error([&] { c.validate(); }, "unroll_segments must be halt_max_steps 4, got 1");
  c.model.halting = Halting::ponder;
  c.validate();
  c.train.unroll_segments = 2;
  expect_error([&] { c.validate(); }, "unroll_segments must be halt_max_steps 4 or 1, got 2");
  c.model.halting = Halting::act;
  c.train.unroll_segments = 4;
  c.validate();
  c.model.act_per_position = true;
  expect_error([&] { c.validate(); }, "act_per_position needs halting act and puzzle_emb_ndim 0");
  c.model.puzzle_emb_ndim = 0;
  c.validate();
  c.model.halting = Halting::ponder;
  expect_error([&] { c.validate(); }, "act_per_position needs halting act");
  c = preset("sudoku4");
  c.model.ponder_cost = 1;
  expect_error([&] { c.validate(); }, "ponder_cost is not a setting of halting q_learning. HINT:");
  c = preset("sudoku4");
  c.model.halting = Halting::fixed;
  c.validate();
  c.model.act = false;
  expect_error([&] { c.validate(); }, "act is not a setting of halting fixed. HINT: leave it out");
  c = preset("sudoku4");
  c.model.halting = Halting::act;
  c.model.halt_max_steps = 1;
  expect_error([&] { c.validate(); }, "halting act needs halt_max_steps 2 or more, got 1");
  c = preset("sudoku4");
  c.train.late_start_share = 0.1;
  c.validate();
  c.model.step_signal = true;
  expect_error([&] { c.validate(); }, "got halting q_learning, step_signal true, input_once false");
  c = preset("lattice4");
  c.model.halting = Halting::act;
  expect_error([&] { c.validate(); }, "halting is not a setting of refinement lattice");
  RuleRun s("act");
  Window w(s, Device::cpu);
  Carry carry = initial_carry(*w.model, 4);
  expect_error([&] { train_segment(*w.model, carry, {}, 1); }, "HINT: train_segments");
  expect_error([&] { train_segments(*w.model, carry, w.rows, Refill::reference, {}, 2, 1); },
               "must be halt_max_steps 3, got 2");
}

TEST_CASE("universal transformer: signals of position and step, tokens in the first segment") {
  const Config c = preset("ut");
  c.validate();
  Random random(2);
  const Model model(c.model, &random);
  const Tensor inputs = random.randint({2, 16}, 1, 5);
  const Tensor x = model.input_embeddings(inputs, {});
  const auto at = [&](int32_t segment) {
    return model.segment_input(x, from_vector<int32_t>({segment, segment}, {2}));
  };
  const NoGradGuard no_grad;
  const Tensor other = model.input_embeddings(random.randint({2, 16}, 1, 5), {});
  const auto other_at = [&](int32_t segment) {
    return model.segment_input(other, from_vector<int32_t>({segment, segment}, {2}));
  };
  CHECK(worst(at(1), other_at(1)) > 0.1);
  CHECK(worst(at(2), other_at(2)) == 0);
  CHECK(worst(at(2), at(3)) > 0.1);       // another signal
  CHECK(worst(at(2000), at(3000)) == 0);  // the last one stands for all later ones
  // The first signal: sin and cos of 1.
  const Tensor signal = at(1) - x;
  CHECK(signal.to_vector()[0] == doctest::Approx(std::sin(1.0)).epsilon(1e-4));
  CHECK(signal.to_vector()[1] == doctest::Approx(std::cos(1.0)).epsilon(1e-4));
}

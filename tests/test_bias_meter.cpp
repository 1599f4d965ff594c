// The meter of gradient rules: what it must find where the answer is known, and that it changes
// nothing.
#include <cmath>

#include "autograd/engine.h"
#include "autograd/ops/ops.h"
#include "hrm/lab/bias_meter.h"
#include "hrm/train/checkpoint.h"
#include "tests/support/support.h"
#include "tests/support/tiny.h"

using namespace hrm;
using namespace hrm::lab;
using namespace hrm::test;
namespace fs = std::filesystem;

namespace {

// A model whose carry is in the middle of its puzzles: the rows are in segments 1, 2 and 3, and
// their states come from the model's present weights.
struct Problem {
  ModelConfig config = tiny_model();
  std::unique_ptr<Model> model;
  Carry carry;
  explicit Problem(Device device = Device::cpu) {
    config.num_puzzle_identifiers = 4;
    config.halt_max_steps = 4;
    Random random(3), data(4);
    model = std::make_unique<Model>(config, &random, device);
    Tensor table = model->puzzle_emb->weights;
    table.copy_from(data.normal({4, 16}, 0.2, DType::f64));
    model->q_head.weight.value.copy_from(data.normal({2, 16}, 0.3, DType::f64));
    const Rows rows{data.randint({16, 5}, 1, 5).to(device), data.randint({16, 5}, 2, 5).to(device),
                    data.randint({16}, 0, 3).to(device), zeros({1}, DType::i32, device)};
    carry = initial_carry(*model, 3);
    for (int i = 0; i < 3; ++i) {  // row i starts in segment i
      begin_segment(*model, carry, rows, Refill::only_halted);
      if (i < 2) eval_segment(*model, carry);
      carry.halted.copy_from(from_values({0, i == 0 ? 1. : 0, 1}, {3}, DType::u8));
    }
  }
};

std::vector<std::vector<double>> contents(const Problem& p) {
  std::vector<std::vector<double>> all;
  for (const auto& [name, t] : p.model->state_dict()) all.push_back(t.to_vector());
  p.carry.fields([&](const char*, const Tensor& t) { all.push_back(t.to_vector()); });
  for (const auto& [name, q] : p.model->named_parameters())
    all.push_back(q->value.grad().defined() ? q->value.grad().to_vector() : std::vector<double>());
  return all;
}

// .grad of every parameter after backward of the training loss under a rule.
Tensors trained_gradient(const Problem& p, const std::string& rule) {
  ModelConfig c = p.config;
  c.gradient = rule;
  Model model(c, nullptr);
  model.load_state_dict(p.model->state_dict());
  Carry copy = p.carry.gather(arange(3));
  const SegmentResult r = train_segment(model, copy, {}, 1.0 / 3);
  Tensors grads;
  for (const auto& [name, q] : model.named_parameters()) grads.push_back(q->value.grad());
  grads.push_back(r.puzzle_rows.grad());
  return grads;
}

}  // namespace

TEST_CASE("bias meter: the full gradient against itself, and on every device nothing is changed") {
  for (const Device device : devices()) {
    Problem p(device);
    const auto& parameters = p.model->named_parameters();
    parameters[0].second->value.set_grad(
        full(parameters[0].second->value.shape(), 7, DType::f64, device));
    const auto before = contents(p);
    BiasMeter meter(*p.model, p.carry);
    for (const char* rule : {"full_bptt", "checkpointed", "last_k:6", "unrolled:1"}) {
      CAPTURE(rule);
      const RuleBias b = meter.measure(rule);
      for (const Alignment& a : b.groups) {
        CHECK(a.cosine == doctest::Approx(1).epsilon(1e-12));
        CHECK(a.ratio == doctest::Approx(1).epsilon(1e-12));
      }
      CHECK(std::isnan(b.residual));
      CHECK(b.milliseconds > 0);
    }
    CHECK(meter.measure("checkpointed").peak_bytes < meter.measure("full_bptt").peak_bytes);
    // One of each kind on the emulated device, which is slow.
    const std::vector<std::string> some = {"one_step", "neumann:1", "broyden:2", "unrolled:2"};
    for (const std::string& rule : device == Device::cpu ? default_rules() : some) {
      const RuleBias b = meter.measure(rule);
      CHECK_MESSAGE(std::isfinite(b.groups[0].cosine), rule);
      CHECK(std::isfinite(b.residual) ==
            (rule.starts_with("anderson") || rule.starts_with("broyden")));
    }
    meter.last_updates();
    meter.one_more_map();
    meter.radius();
    CHECK(contents(p) == before);
  }
}

TEST_CASE("bias meter: what it measures is what training does under the rule") {
  const Problem p;
  BiasMeter meter(*p.model, p.carry);
  const Tensors full = trained_gradient(p, "full_bptt");
  for (const char* rule : {"one_step", "last_k:1", "last_k:4", "neumann:2", "anderson:4"}) {
    CAPTURE(rule);
    const Alignment want = align(trained_gradient(p, rule), full);
    const RuleBias got = meter.measure(rule);
    CHECK(got.groups[0].cosine == doctest::Approx(want.cosine).epsilon(1e-12));
    CHECK(got.groups[0].ratio == doctest::Approx(want.ratio).epsilon(1e-12));
    CHECK(want.cosine < 0.999);
  }
  // What the rule does not reach is zero.
  const RuleBias last = meter.measure("last_k:1");
  const char* L = kGradientGroups[2];
  CHECK(std::string(L) == "L");
  CHECK(std::isnan(last.groups[2].cosine));
  CHECK(last.groups[2].ratio == 0);
  CHECK(last.groups[4].cosine == doctest::Approx(1).epsilon(1e-12));
  CHECK(meter.loss() > 0.5);
}

TEST_CASE("bias meter: alignment of known vectors") {
  const auto vector = [](std::vector<double> v) {
    return from_values(v, {static_cast<int64_t>(v.size())}, DType::f64);
  };
  const Alignment a = align({vector({3, 0}), Tensor()}, {vector({1, 0}), vector({1})});
  CHECK(a.cosine == doctest::Approx(1 / std::sqrt(2)));
  CHECK(a.ratio == doctest::Approx(3 / std::sqrt(2)));
  CHECK(align({vector({-2})}, {vector({1})}).cosine == -1);
  CHECK(std::isnan(align({Tensor()}, {vector({1})}).cosine));
  CHECK(std::isnan(align({vector({1})}, {Tensor()}).ratio));
}

TEST_CASE("bias meter: unrolled segments give the gradient of training with unroll_segments") {
  const Problem p;
  // The same three segments with the loss of the last alone, recorded from the first on.
  const Recurrence r = p.model->recurrence();
  const Tensor ids = p.model->puzzle_emb->rows(p.carry.puzzle_ids, true);
  const auto gradient = [&](int64_t segments) {
    const Tensor x = p.model->input_embeddings(p.carry.inputs, ids);
    State s = p.model->initial_state(3);
    for (int segment = 0; segment < 3; ++segment) {
      if (segment == 3 - segments) s = s.detach();
      State next = FullBptt().run(r, s, x);
      // Row i has begun from segment i on; until then it stays at the initial state.
      const Tensor begun =
          from_values({1, segment > 0 ? 1. : 0, segment > 1 ? 1. : 0}, {3, 1, 1}, DType::u8);
      s = {where(begun, next.z_H, s.z_H), where(begun, next.z_L, s.z_L)};
    }
    const Tensor target = target_q(*p.model, p.carry, s.detach(), x);
    Tensors inputs;
    for (const auto& [name, q] : p.model->named_parameters()) inputs.push_back(q->value);
    inputs.push_back(ids);
    return grad({loss_terms(p.config, p.model->heads(s.z_H), p.carry.labels, target).total},
                inputs);
  };
  BiasMeter meter(*p.model, p.carry, 1);
  CHECK(p.carry.steps.to_vector() == std::vector<double>{3, 2, 1});
  const Tensors one = gradient(1);
  for (const int64_t segments : {1, 2, 3}) {
    CAPTURE(segments);
    const Alignment want = align(gradient(segments), one);
    const RuleBias got = meter.measure("unrolled:" + std::to_string(segments));
    CHECK(got.groups[0].cosine == doctest::Approx(want.cosine).epsilon(1e-10));
    CHECK(got.groups[0].ratio == doctest::Approx(want.ratio).epsilon(1e-10));
    CHECK((std::abs(want.cosine - 1) < 1e-9) == (segments == 1));
  }
  // No row has run more than three segments.
  CHECK(meter.measure("unrolled:9").groups[0].cosine ==
        meter.measure("unrolled:3").groups[0].cosine);
  for (const char* rule : {"unrolled:0", "unrolled:", "unrolled:x", "unrolled:123456"})
    expect_error([&] { meter.measure(rule); }, "unrolled:S needs a number of segments");
  expect_error([&] { meter.measure("onestep"); }, "gradient must be one of one_step");
}

TEST_CASE("bias meter: the spectral radius of known maps") {
  Random random(2);
  const Tensor start = random.normal({2, 3}, 1, DType::f64);
  // u -> u A for A = diag(0.5, -1.5, 1) in row 0, and twice that in row 1.
  const Tensor scale = from_values({0.5, -1.5, 1, 1, -3, 2}, {2, 3}, DType::f64);
  const SpectralRadius real =
      spectral_radius([&](const Tensor& u) { return u * scale; }, start, 60);
  CHECK(real.mean == doctest::Approx(2.25).epsilon(1e-3));
  CHECK(real.max == doctest::Approx(3).epsilon(1e-3));
  // A rotation stretched unevenly: eigenvalues +-0.6i, growth 0.36 and 1 by turns.
  const Tensor turn = from_values({0, 1, -0.36, 0}, {2, 2}, DType::f64);
  const SpectralRadius pair = spectral_radius([&](const Tensor& u) { return linear(u, turn); },
                                              start.slice(1, 0, 2).contiguous(), 60);
  CHECK(pair.mean == doctest::Approx(0.6).epsilon(1e-6));
}

TEST_CASE("bias meter: changes of the states and the radius of a model") {
  const Problem p;
  BiasMeter meter(*p.model, p.carry);
  const Tensor x =
      p.model
          ->input_embeddings(p.carry.inputs, p.model->puzzle_emb->rows(p.carry.puzzle_ids, false))
          .detach();
  const Recurrence r = p.model->recurrence();
  std::vector<State> states = {p.carry.state};
  for (const Level level :
       {Level::L, Level::L, Level::H, Level::L, Level::L, Level::H, Level::L, Level::H})
    states.push_back(r.apply(level, states.back(), x));
  const auto change = [](const Tensor& a, const Tensor& b) {
    double total = 0;
    for (int64_t row = 0; row < 3; ++row) {
      const auto u = a.slice(0, row, row + 1).to_vector(), v = b.slice(0, row, row + 1).to_vector();
      double error = 0, norm = 0;
      for (size_t i = 0; i < u.size(); ++i) {
        error += (v[i] - u[i]) * (v[i] - u[i]);
        norm += u[i] * u[i];
      }
      total += std::sqrt(error / norm) / 3;
    }
    return total;
  };
  CHECK(meter.last_updates().z_H == doctest::Approx(change(states[5].z_H, states[6].z_H)));
  CHECK(meter.last_updates().z_L == doctest::Approx(change(states[4].z_L, states[5].z_L)));
  CHECK(meter.one_more_map().z_H == doctest::Approx(change(states[6].z_H, states[8].z_H)));
  CHECK(meter.one_more_map().z_L == doctest::Approx(change(states[6].z_L, states[8].z_L)));
  // Against the growth of a difference of states under F itself, which J and J' share.
  const auto map = [&](const State& s) { return r.apply(Level::H, r.apply(Level::L, s, x), x); };
  const State at = states[4];
  Random random(5);
  State d{random.normal(at.z_H.shape(), 1, DType::f64),
          random.normal(at.z_L.shape(), 1, DType::f64)};
  const State base = map(at);
  std::vector<double> logs(3);
  for (int i = 0; i < 400; ++i) {
    const double eps = 1e-6;
    const State next = map({at.z_H + d.z_H * eps, at.z_L + d.z_L * eps});
    d = {(next.z_H - base.z_H) * (1 / eps), (next.z_L - base.z_L) * (1 / eps)};
    const Tensor flat = concat({reshape(d.z_H, {3, -1}), reshape(d.z_L, {3, -1})}, 1);
    const Tensor norm = sqrt(sum(flat * flat, 1, true));
    if (i >= 200) {
      for (int64_t row = 0; row < 3; ++row) logs[row] += std::log(norm.to_vector()[row]) / 200;
    }
    d = {d.z_H / norm.view({3, 1, 1}), d.z_L / norm.view({3, 1, 1})};
  }
  const double mean = (std::exp(logs[0]) + std::exp(logs[1]) + std::exp(logs[2])) / 3;
  CHECK(meter.radius(400).mean == doctest::Approx(mean).epsilon(0.02));
}

TEST_CASE("bias meter: its alignment is that of the recorded gradients") {
  const fs::path folder = reference_dir() / "gradients";
  if (!fs::exists(folder / "config.json")) SKIP("no " << folder.string());
  const Json config = read_json(folder / "config.json");
  const auto load = [&](int64_t k) {
    return read_safetensors(folder / ("grad_last0" + std::to_string(k) + ".safetensors")).tensors;
  };
  const auto full = load(6);
  for (const Json& entry : config.at("comparison_to_full")) {
    const auto part = load(entry.at("k"));
    Tensors mine, reference;
    for (const auto& [name, want] : full) {
      reference.push_back(want);
      const Tensor* found = find(part, name);
      mine.push_back(found ? *found : Tensor());
    }
    const Alignment got = align(mine, reference);
    CHECK(got.cosine == doctest::Approx(entry["overall"]["cosine"].get<double>()).epsilon(1e-10));
    CHECK(got.ratio ==
          doctest::Approx(entry["overall"]["norm_ratio"].get<double>()).epsilon(1e-10));
  }
}

TEST_CASE("bias meter: the report as text and as JSON") {
  const Problem p;
  int done = 0;
  const BiasReport report =
      measure_bias(*p.model, p.carry, {"last_k:1", "anderson:2"}, [&] { ++done; });
  CHECK(done == 2);
  const Json json = report.to_json();
  CHECK(json["rules"][0]["rule"] == "last_k:1");
  CHECK(json["rules"][0]["norm_ratio"]["L"] == 0);
  CHECK(json["rules"][1]["residual"].get<double>() > 0);
  CHECK(json.dump().find("\"cosine\":{\"all\"") != std::string::npos);
  const std::string text = report.to_text();
  CHECK(text.find("spectral radius of dF/dz") != std::string::npos);
  std::istringstream lines(text);
  std::string head, first;
  std::getline(lines, head);
  std::getline(lines, first);
  CHECK(head.size() == first.size());
}

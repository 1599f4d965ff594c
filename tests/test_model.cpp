// The model: gradient strategies and their identities, variants, names, numerics.
#include <omp.h>

#include <cmath>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "hrm/model/model.h"
#include "hrm/model/segment.h"
#include "hrm/presets.h"
#include "hrm/train/checkpoint.h"
#include "tests/support/support.h"
#include "tests/support/tiny.h"

using namespace hrm;
using namespace hrm::test;

namespace {

ModelConfig tiny(DType dtype = DType::f64) {
  ModelConfig c = tiny_model();
  make_tiny(c, 8);
  c.vocab_size = 7;
  c.num_puzzle_identifiers = 3;
  c.expansion = 1;
  c.halt_max_steps = 3;
  c.dtype = dtype;
  return c;
}

struct Problem {
  explicit Problem(const ModelConfig& c, uint64_t seed = 5) {
    Random random(seed);
    model = std::make_unique<Model>(c, &random);
    if (model->puzzle_emb)
      model->puzzle_emb->weights.copy_from(
          random.normal(model->puzzle_emb->weights.shape(), 0.5, accumulate_type(c.dtype)));
    batch.inputs = random.randint({2, c.seq_len}, 0, static_cast<int32_t>(c.vocab_size) - 1);
    batch.labels = random.randint({2, c.seq_len}, 0, static_cast<int32_t>(c.vocab_size) - 1);
    batch.labels.data<int32_t>()[3] = kIgnoreLabel;
    batch.puzzle_ids = from_vector<int32_t>({1, 2}, {2});
    batch.rows = 2;
  }
  Tensor loss() const {
    const Tensor rows =
        model->puzzle_emb ? model->puzzle_emb->rows(batch.puzzle_ids, true) : Tensor();
    const Tensor x = model->input_embeddings(batch.inputs, rows);
    const Outputs out = model->heads(model->segment(model->initial_state(2), x).z_H);
    return loss_terms(model->config(), out, batch.labels, {}).total;
  }
  std::map<std::string, std::vector<double>> gradients() const {
    model->zero_grad();
    backward(loss());
    std::map<std::string, std::vector<double>> g;
    for (const auto& [name, p] : model->named_parameters())
      g[name] = p->value.grad().defined() ? p->value.grad().to_vector() : std::vector<double>();
    return g;
  }
  std::unique_ptr<Model> model;
  Batch batch;
};

std::map<std::string, std::vector<double>> gradients_of(ModelConfig c, const std::string& rule) {
  c.gradient = rule;
  return Problem(c).gradients();
}

double difference(const std::map<std::string, std::vector<double>>& a,
                  const std::map<std::string, std::vector<double>>& b) {
  double worst = 0;
  for (const auto& [name, x] : a) {
    const auto& y = b.at(name);
    REQUIRE(x.size() == y.size());
    for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  }
  return worst;
}

}  // namespace

TEST_CASE("strategies: LastK(all) = FullBptt = Checkpointed, one step = LastK(2)") {
  const auto full = gradients_of(tiny(), "full_bptt");
  CHECK(difference(gradients_of(tiny(), "last_k:6"), full) == 0);
  CHECK(difference(gradients_of(tiny(), "checkpointed"), full) < 1e-14);
  CHECK(difference(gradients_of(tiny(), "last_k:2"), gradients_of(tiny(), "one_step")) == 0);
  CHECK(difference(gradients_of(tiny(), "last_cycle"), gradients_of(tiny(), "last_k:3")) == 0);
  CHECK(difference(gradients_of(tiny(), "one_step"), full) > 1e-4);
}

TEST_CASE("a slice of the batch gets the bits of the whole, however many threads") {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    const Problem p(tiny(dtype));
    Random random(3);
    const int64_t batch = 7, positions = p.model->positions();
    const auto draw = [&] { return random.normal({batch, positions, 8}, 1).to(dtype); };
    const State start{draw(), draw()};
    const Tensor x = draw();
    const NoGradGuard no_grad;
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
    std::vector<double> want_H, want_L;
    for (int64_t b = 0; b < batch; ++b) {  // row by row
      const State end = p.model->segment(
          {start.z_H.slice(0, b, b + 1), start.z_L.slice(0, b, b + 1)}, x.slice(0, b, b + 1));
      for (const double v : end.z_H.to_vector()) want_H.push_back(v);
      for (const double v : end.z_L.to_vector()) want_L.push_back(v);
    }
    for (const int threads : {1, 2, 3, 7}) {
      omp_set_num_threads(threads);
      const State end = p.model->segment(start, x);
      CHECK(end.z_H.to_vector() == want_H);
      CHECK(end.z_L.to_vector() == want_L);
    }
    omp_set_num_threads(before);
  }
}

TEST_CASE("next_q_values are the q values of one more segment") {
  for (const bool single : {false, true})  // also with one position in all
    for (const Levels levels : {Levels::two, Levels::shared, Levels::single}) {
      ModelConfig c = tiny();
      c.levels = levels;
      if (levels == Levels::shared) c.H_layers = 0;
      if (levels == Levels::single) {
        c.L_layers = c.L_cycles = 0;
        c.H_cycles = 1;
      }
      if (single) {
        c.seq_len = 1;
        c.puzzle_emb_ndim = 0;
      }
      Random random(6);
      Model model(c, &random);
      model.q_head.weight.value.copy_from(random.normal({2, 8}, 1, DType::f64));
      const auto draw = [&] { return random.normal({4, model.positions(), 8}, 1, DType::f64); };
      const State start{draw(), levels == Levels::single ? Tensor() : draw()};
      const Tensor x = draw();
      const NoGradGuard no_grad;
      const QValues next = model.next_q_values(start, x);
      const QValues want = model.q_values(model.segment(start, x).z_H);
      for (int i = 0; i < 4; ++i) {
        CHECK(next.halt.to_vector()[i] == doctest::Approx(want.halt.to_vector()[i]).epsilon(1e-12));
        CHECK(next.continue_.to_vector()[i] ==
              doctest::Approx(want.continue_.to_vector()[i]).epsilon(1e-12));
      }
    }
}

TEST_CASE("an error inside a slice reaches the caller") {
  Recurrence r;
  r.updates = {Level::H, Level::H};
  r.apply = [](Level, const State& s, const Tensor&) -> State {
    if (s.z_H.to_vector().back() >= 2) throw Error("[test] row refused");
    return s;
  };
  const Tensor z = from_values({0, 1, 2, 3}, {4, 1, 1}, DType::f32);
  expect_error([&] { r.advance({z, {}}, z, 2); }, "row refused");
}

TEST_CASE("FullBptt equals finite differences in f64") {
  ModelConfig c = tiny();
  c.gradient = "full_bptt";
  const Problem p(c);
  const auto g = p.gradients();
  const NoGradGuard no_grad;
  for (const auto& entry : p.model->named_parameters()) {
    const std::string& name = entry.first;
    const Parameter* parameter = entry.second;
    // Two elements of every parameter.
    for (const int64_t i : {int64_t{0}, parameter->value.numel() / 2}) {
      double* w = parameter->value.data<double>() + i;
      const double saved = *w, h = 1e-4;
      const auto set = [&](double value) {
        *w = value;
        parameter->value.storage().bump_version();
      };
      const auto at = [&](double d) {
        set(saved + d);
        const double v = p.loss().item();
        set(saved);
        return v;
      };
      const double numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
      CHECK_MESSAGE(std::abs(g.at(name)[i] - numeric) < 1e-8 * std::max(1.0, std::abs(numeric)),
                    name);
    }
  }
}

TEST_CASE("the recurrence is a list of updates") {
  ModelConfig c = tiny();
  using L = Level;
  CHECK(update_list(c) == std::vector<Level>{L::L, L::L, L::H, L::L, L::L, L::H});
  c.levels = Levels::single;
  CHECK(update_list(c) == std::vector<Level>{L::H});
  c = preset("trm-5m").model;
  CHECK(update_list(c).size() == 21);
}

TEST_CASE("variants run, train every parameter, and count their parameters") {
  for (const char* name : {"two", "shared", "single"})
    for (const char* pos : {"rope", "learned", "none", "learned_and_rope"})
      for (const bool mlp_t : {false, true}) {
        Config config;
        config.model = tiny();
        config.set("levels", name);
        config.set("pos_encodings", pos);
        config.model.mlp_t = mlp_t;
        config.model.puzzle_emb_ndim = 12;
        config.model.gradient = "full_bptt";
        config.model.continue_loss = config.model.levels == Levels::two;
        const Problem p(config.model);
        for (const auto& entry : p.gradients())
          CHECK_MESSAGE(!entry.second.empty(), name, " ", pos, " ", mlp_t, " ", entry.first);
      }
  ModelConfig c = tiny();
  c.puzzle_emb_ndim = 0;
  CHECK(Problem(c).loss().item() > 0);
  c.seq_len = 9;
  const double flat = Problem(c).loss().item();
  c.rope = Rope::grid;
  CHECK(Problem(c).loss().item() != flat);
  CHECK(c.prefix() == 0);
  // Angles beside learned positions change what the same weights say.
  c.pos_encodings = PosEncoding::learned;
  c.rope = Rope::flat;
  const Problem learned(c);
  c.pos_encodings = PosEncoding::learned_and_rope;
  const Problem both(c);
  both.model->load_state_dict(learned.model->state_dict());
  CHECK(both.loss().item() != learned.loss().item());
  CHECK(Model(preset("hrm-27m").model, nullptr).parameter_count() == 27275266);
  CHECK(Model(preset("trm-5m").model, nullptr).parameter_count() == 5028866);
  CHECK(Model(preset("transformer-27m").model, nullptr).parameter_count() == 27144194);
}

TEST_CASE("fused and unfused models agree") {
  const auto fused = gradients_of(tiny(), "full_bptt");
  set_fusion(false);
  const auto composed = gradients_of(tiny(), "full_bptt");
  set_fusion(true);
  CHECK(difference(fused, composed) < 1e-12);
}

TEST_CASE("f32 and bf16 models follow the f64 model") {
  const double exact = Problem(tiny()).loss().item();
  CHECK(std::abs(Problem(tiny(DType::f32)).loss().item() - exact) < 1e-4);
  CHECK(std::abs(Problem(tiny(DType::bf16)).loss().item() - exact) < 0.3);
}

TEST_CASE("names are the official ones, and loading checks them") {
  const Problem p(tiny());
  NamedTensors state = p.model->state_dict(kOfficialPrefix);
  CHECK(find(state, "model.inner.H_level.layers.0.self_attn.qkv_proj.weight"));
  CHECK(find(state, "model.inner.embed_tokens.embedding_weight"));
  CHECK(find(state, "model.inner.puzzle_emb.weights"));
  Model other(tiny(), nullptr);
  NamedTensors compiled;
  for (const auto& [name, t] : state) compiled.emplace_back("_orig_mod." + name, t);
  other.load_state_dict(from_official(compiled), kOfficialPrefix);
  CHECK(find(other.state_dict(kOfficialPrefix), "model.inner.lm_head.weight")->to_vector() ==
        find(state, "model.inner.lm_head.weight")->to_vector());
  state[0].first = "model.inner.other";
  expect_error([&] { other.load_state_dict(state, kOfficialPrefix); },
               "has no tensor 'model.inner.");
  state = p.model->state_dict(kOfficialPrefix);
  state[0].second = zeros({3}, DType::f64);
  expect_error([&] { other.load_state_dict(state, kOfficialPrefix); }, "must have shape");
  state[0].second = zeros(p.model->state_dict()[0].second.shape(), DType::i32);
  expect_error([&] { other.load_state_dict(state, kOfficialPrefix); },
               "[load] '" + state[0].first + "' must be floating, got i32");
  state = p.model->state_dict(kOfficialPrefix);
  state.emplace_back("model.inner.extra", zeros({1}));
  expect_error([&] { other.load_state_dict(state, kOfficialPrefix); }, "that this model does not");
  expect_error([] { from_official({{"weights", zeros({1})}}); }, "must start with 'model.inner.'");
}

TEST_CASE("inputs and puzzle rows of another model are refused") {
  const Problem p(tiny());
  const Tensor rows = p.model->puzzle_emb->rows(p.batch.puzzle_ids, false);
  for (const Shape& shape : {Shape{2, 6}, Shape{5}})
    expect_error([&] { p.model->input_embeddings(zeros(shape, DType::i32), rows); },
                 "[model] inputs must be [batch, seq] with seq = 5, got (");
  for (const Shape& shape : {Shape{3, 7}, Shape{8}})
    expect_error([&] { p.model->replace_puzzle_rows(zeros(shape, DType::f64)); },
                 "[model] puzzle rows must be [puzzles, 8], got (");
}

TEST_CASE("settings out of range or at odds with each other are refused in one line") {
  const auto rejects = [](const char* key, const char* value, const char* message) {
    expect_error(
        [&] {
          Config c;
          c.set(key, value);
          c.validate();
        },
        message);
  };
  rejects("num_heads", "0", "num_heads must be in 1..65536, got 0");
  rejects("batch_size", "0", "batch_size must be in 1..");
  rejects("halt_exploration_prob", "1.5", "must be in 0..1, got 1.5");
  rejects("num_heads", "170", "rope needs an even head size");
  rejects("levels", "three", "levels must be one of two, shared, single, got 'three'");
  rejects("dtype", "u8", "dtype must be one of f32, bf16, f64");
  rejects("puzzle_emb_len", "-1", "puzzle_emb_len must be in 0..");
  rejects("momentum", "0.9", "momentum is a setting of optimizer=muon alone");
  rejects("lr", "fast", "lr must be a number, got 'fast'");
  rejects("mlp_t", "maybe", "mlp_t must be true or false");
  rejects("hiden_size", "3", "did you mean 'hidden_size'?");
  expect_error([] { preset("sudoku5"); }, "unknown preset 'sudoku5'. HINT: did you mean 'sudoku");
  ModelConfig c = tiny();
  c.gradient = "last_k:0";
  expect_error([&] { Model m(c, nullptr); }, "K must be a whole number in 1..1000000");
  c = tiny();
  c.puzzle_emb_ndim = 20;
  c.puzzle_emb_len = 2;
  expect_error([&] { c.validate(); }, "is too short for puzzle_emb_ndim 20");
  c = tiny();
  c.rope = Rope::grid;
  expect_error([&] { c.validate(); }, "rope grid is for square boards, got seq_len 5. HINT: ");
  c.seq_len = 9;
  c.num_heads = 4;
  expect_error([&] { c.validate(); }, "rope grid needs a head size that is a multiple of 4");
  c.num_heads = 2;
  c.validate();
  const char* no_rope = "rope grid needs attention and pos_encodings with rope. HINT: rope=flat";
  c.pos_encodings = PosEncoding::none;
  expect_error([&] { c.validate(); }, no_rope);
  c.pos_encodings = PosEncoding::rope;
  c.mlp_t = true;
  expect_error([&] { c.validate(); }, no_rope);
  c.conditioning = Conditioning::context;  // its encoder has attention of its own
  c.validate();
  c.seq_len = 5;
  expect_error([&] { c.validate(); }, "rope grid is for square boards");
}

TEST_CASE("a configuration survives its JSON, and JSON is checked") {
  for (const PresetInfo& info : presets()) {
    const Config c = preset(info.name);
    CHECK(Config::from_json(c.to_json(), "test").to_json() == c.to_json());
    c.validate();
  }
  Json json = preset("sudoku4").to_json();
  json["train"]["learning_rate"] = 1;
  expect_error([&] { Config::from_json(json, "f.json"); }, "f.json: unknown key 'learning_rate'");
  json = preset("sudoku4").to_json();
  json["model"]["hidden_size"] = "wide";
  expect_error([&] { Config::from_json(json, "f.json"); },
               "f.json: 'model': 'hidden_size' must be a whole number");
  expect_error([&] { Config::from_json(Json::array(), "f.json"); }, "must be a JSON object");
}

TEST_CASE("the halting rule, its exploration, the target of q_continue and the metrics") {
  const std::vector<int32_t> steps = {1, 1, 2, 3, 2};
  const std::vector<float> halt = {1, -1, 2, -5, 0}, go_on = {0, 0, 3, 5, 0};
  const auto decide = [&](HaltRule rule, const float* u = nullptr, const int32_t* least = nullptr) {
    rule.max_steps = 3;
    std::vector<uint8_t> halted(5);
    cpu::act_halt(halted.data(), DType::f32, steps.data(), halt.data(), go_on.data(), u, least, 5,
                  rule, {});
    return std::vector<int>(halted.begin(), halted.end());
  };
  HaltRule rule;
  CHECK(decide(rule) == std::vector<int>{1, 0, 0, 1, 0});  // a tie does not halt
  rule.q_head = QHead::halt_only;
  CHECK(decide(rule) == std::vector<int>{1, 0, 1, 1, 0});
  rule.training = false;
  CHECK(decide(rule) == std::vector<int>{0, 0, 0, 1, 0});
  rule.training = true;
  rule.exploration = 0.5;
  const std::vector<float> u = {0.4f, 0, 0.6f, 0.4f, 0};
  const std::vector<int32_t> least = {2, 2, 3, 3, 2};
  CHECK(decide(rule, u.data(), least.data()) == std::vector<int>{0, 0, 1, 1, 0});

  std::vector<float> target(5);
  cpu::act_target_q(DType::f32, target.data(), steps.data(), halt.data(), go_on.data(), 5, 3, {});
  const float logits[5] = {1, 0, 3, -5, 0};  // the last segment looks at q_halt alone
  for (int i = 0; i < 5; ++i)
    CHECK(target[i] == doctest::Approx(1 / (1 + std::exp(-logits[i]))).epsilon(1e-6));

  // Rows: exact, wrong, without labels.
  const std::vector<int32_t> predictions = {1, 2, 1, 2, 1, 2};
  const std::vector<int32_t> labels = {1, kIgnoreLabel, 1, 1, kIgnoreLabel, kIgnoreLabel};
  std::vector<int32_t> labelled(3), correct(3);
  std::vector<float> exact(3);
  cpu::act_correctness(labelled.data(), correct.data(), DType::f32, exact.data(),
                       predictions.data(), labels.data(), 3, 2, {});
  CHECK(labelled == std::vector<int32_t>{1, 2, 0});
  CHECK(correct == std::vector<int32_t>{1, 1, 0});
  CHECK(exact == std::vector<float>{1, 0, 1});
  const std::vector<uint8_t> halted = {1, 1, 1};
  double metrics[5];
  cpu::act_metrics(metrics, halted.data(), steps.data(), labelled.data(), correct.data(),
                   DType::f32, halt.data(), 3, {});
  // Both labelled rows: accuracy 1 + 1/2, one exact, q_halt right for both, one segment each.
  CHECK(std::vector<double>(metrics, metrics + 5) == std::vector<double>{2, 1.5, 1, 2, 2});
}

TEST_CASE("rows halt, restart and keep their data as the rules say") {
  const ModelConfig c = tiny(DType::f32);
  const Problem p(c);
  Carry carry = initial_carry(*p.model, 2);
  begin_segment(*p.model, carry, p.batch, Refill::reference);
  CHECK(carry.steps.to_vector() == std::vector<double>{1, 1});
  CHECK(carry.inputs.to_vector() == p.batch.inputs.to_vector());
  carry.halted.data<uint8_t>()[0] = 0;
  carry.halted.data<uint8_t>()[1] = 1;
  carry.state.z_H.fill(3);
  Batch other = p.batch;
  other.inputs = full({2, c.seq_len}, 4, DType::i32);
  begin_segment(*p.model, carry, other, Refill::reference);
  CHECK(carry.steps.to_vector() == std::vector<double>{2, 1});
  CHECK(carry.inputs.slice(0, 0, 1).to_vector() == p.batch.inputs.slice(0, 0, 1).to_vector());
  CHECK(carry.inputs.slice(0, 1, 2).to_vector() == std::vector<double>(5, 4));
  CHECK(carry.state.z_H.slice(0, 0, 1).to_vector()[0] == 3);
  CHECK(carry.state.z_H.slice(0, 1, 2).to_vector()[0] == p.model->H_init.to_vector()[0]);
  // only_halted: the one free slot takes the first incoming row, wherever it is.
  carry.halted.data<uint8_t>()[0] = 0;
  carry.halted.data<uint8_t>()[1] = 1;
  other.inputs = from_values({1, 1, 1, 1, 1, 2, 2, 2, 2, 2}, {2, 5}, DType::i32);
  begin_segment(*p.model, carry, other, Refill::only_halted);
  CHECK(carry.inputs.slice(0, 1, 2).to_vector() == std::vector<double>(5, 1));
}

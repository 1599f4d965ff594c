// The C interface against the C++ functions behind it.
#include <cstring>
#include <sstream>

#include <nlohmann/json.hpp>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/c_api.h"
#include "hrm/eval/evaluate.h"
#include "hrm/presets.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/train/loaded_run.h"
#include "hrm/train/train_step.h"
#include "tests/support/op_cases.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

// A call that must work.
template <class T>
T* made(T* handle) {
  REQUIRE_MESSAGE(handle, std::string(hrm_error()));
  return handle;
}
void done(int status) { REQUIRE_MESSAGE(status == 0, std::string(hrm_error())); }

// Handles that are freed at the end of a test.
using OwnModel = std::unique_ptr<hrm_model, void (*)(hrm_model*)>;
using OwnRefinement = std::unique_ptr<hrm_refinement, void (*)(hrm_refinement*)>;
using OwnTraining = std::unique_ptr<hrm_training, void (*)(hrm_training*)>;

const std::string kTiny =
    "hidden_size=32 num_heads=2 puzzle_emb_ndim=32 H_layers=1 L_layers=1 batch_size=8 "
    "total_steps=100 lr_warmup_steps=1 ";

std::string sudoku_data(const TempDir& dir) {
  const std::string folder = (dir.path() / "data").string();
  done(hrm_make_data("sudoku", 4, 60, 12, 3, folder.c_str()));
  return folder;
}

OwnTraining training(const std::string& data, const std::string& settings) {
  return {made(hrm_train(data.c_str(), "sudoku4", (kTiny + settings).c_str())), hrm_training_free};
}

// A model that has learned a little, so that nothing in it is still zero.
OwnModel trained(const std::string& data, const std::string& settings) {
  const OwnTraining t = training(data, settings);
  done(hrm_training_run(t.get(), 2));
  return {made(hrm_training_model(t.get())), hrm_model_free};
}

OwnRefinement refine(const OwnModel& model, const Tokens& puzzles, int32_t count, double noise = 0,
                     uint32_t seed = 0) {
  return {made(hrm_refine(model.get(), puzzles.data(), count, noise, seed)), hrm_refinement_free};
}

hrm_sizes sizes_of(const OwnModel& model) {
  hrm_sizes sizes{};
  done(hrm_model_sizes(model.get(), &sizes));
  return sizes;
}

std::vector<float> logits_of(const OwnRefinement& r, const hrm_sizes& s, int count = 1) {
  std::vector<float> logits(static_cast<size_t>(count) * s.cells * s.vocab);
  done(hrm_logits(r.get(), logits.data()));
  return logits;
}

Tokens tokens_of(const OwnModel& model, const char* text) {
  Tokens tokens(sizes_of(model).cells);
  done(hrm_parse(model.get(), text, tokens.data()));
  return tokens;
}

// The same model by way of C++.
LoadedRun in_cpp(const OwnModel& model) {
  size_t bytes = 0;
  const void* file = made(hrm_model_weights(model.get(), &bytes));
  return load_model(parse_safetensors({static_cast<const std::byte*>(file), bytes}, "x"), "x");
}

// What hrm_error() says after a call that must fail: one line with this in it.
template <class Result>
void expect_failure(Result result, const std::string& what) {
  if constexpr (std::is_pointer_v<Result>)
    CHECK(result == nullptr);
  else
    CHECK(result == -1);
  const std::string error = hrm_error();
  CHECK_MESSAGE(error.find(what) != std::string::npos, error);
  CHECK(error.find('\n') == std::string::npos);
}

const char* const kPuzzle = "41.2234.3..4..2.";

// Weights of the update of H behind one of L: layer by layer, applied to the values, they give what
// attention gives.
void check_attention_of_H(const OwnModel& model, const std::vector<float>& weights) {
  const hrm_sizes s = sizes_of(model);
  const NoGradGuard no_grad;
  const LoadedRun loaded = in_cpp(model);
  const Model& m = *loaded.model;
  const RopeTables tables = rope_tables(s.positions, s.hidden / s.heads, 10000, DType::f32);
  State state = m.initial_state(1);
  const Tensor rows = m.puzzle_emb->rows(zeros({1}, DType::i32), false);
  const Tensor x = m.input_embeddings(from_vector(tokens_of(model, kPuzzle), {1, s.cells}), rows);
  state = m.recurrence().apply(Level::L, state, x);
  Tensor h = state.z_H + state.z_L;
  const size_t per_layer = static_cast<size_t>(s.heads) * s.positions * s.positions;
  for (int layer = 0; layer < s.H_layers; ++layer) {
    const Block& block = *m.H_level->layers[layer];
    const Tensor qkv = block.self_attn->qkv_proj.forward(h);
    const Tensor of_layer = from_vector(
        std::vector<float>(weights.begin() + static_cast<int64_t>(layer * per_layer),
                           weights.begin() + static_cast<int64_t>((layer + 1) * per_layer)),
        {s.heads, s.positions, s.positions});
    // Applied to the values they give what attention gives.
    const Tensor values = transpose(reshape(slice(qkv, 2, 2 * s.hidden, 3 * s.hidden),
                                            {s.positions, s.heads, s.hidden / s.heads}),
                                    0, 1);
    const Tensor mixed = transpose(matmul(of_layer, values), 0, 1);
    const Tensor want = attention(qkv, s.heads, &tables);
    CHECK(largest_difference({reshape(mixed, want.shape())}, {want}) < 1e-5);
    h = block.forward(h, &tables);
  }
}

}  // namespace

TEST_CASE("C interface: training is that of C++") {
  const TempDir dir;
  const std::string data = sudoku_data(dir);
  const OwnTraining t = training(data, "seed=5 ema=0.5");
  done(hrm_training_run(t.get(), 3));
  done(hrm_training_run(t.get(), 1));

  const PuzzleDataset train = open_dataset(data, "train"), test = open_dataset(data, "test");
  Config config = preset("sudoku4");
  std::istringstream settings(kTiny + "seed=5 ema=0.5");
  for (std::string item; settings >> item;) config.set_from(item);
  config.model.num_puzzle_identifiers = train.info().num_puzzle_identifiers;
  TrainStep step(config, train, Device::cpu);
  MetricsWindow window(step.columns(), Device::cpu);
  for (int64_t i = 1; i <= 4; ++i) step.run(i, window);
  step.finish();
  step.swap_averages();

  const OwnModel model(made(hrm_training_model(t.get())), hrm_model_free);
  const LoadedRun got = in_cpp(model);
  const NamedTensors want = step.module().state_dict();
  for (const auto& weight : got.model->state_dict()) {
    const Tensor* expected = find(want, weight.first);
    CHECK_MESSAGE(largest_difference({weight.second}, {*expected}) == 0, weight.first);
  }

  const Json evaluation = Json::parse(made(hrm_training_evaluate(t.get(), 7)));
  EvalOptions options;
  options.max_puzzles = 7;
  const EvalResult result = step.evaluate(test, options);
  CHECK(evaluation["count"] == 7);
  CHECK(evaluation["step"] == 4);
  CHECK(evaluation["accuracy"].get<double>() == result.accuracy);
  CHECK(evaluation["solved"] == result.solved);
  step.swap_averages();

  TrainMetrics line;
  window.start(line, 4 * 8);
  const TrainMetrics mine = *window.finished_line(true);
  const Json metrics = Json::parse(made(hrm_training_metrics(t.get())));
  CHECK(metrics["step"] == 4);
  CHECK(metrics["samples"] == 32);
  CHECK(metrics["loss"].get<double>() == doctest::Approx(mine.mean("loss")));
  expect_failure(hrm_training_metrics(t.get()), "no step since");

  Tokens puzzle(16), answer(16);
  done(hrm_training_puzzle(t.get(), 11, puzzle.data(), answer.data()));
  CHECK(puzzle == test.read(11).inputs);
  CHECK(answer == test.read(11).labels);
  expect_failure(hrm_training_puzzle(t.get(), 12, puzzle.data(), answer.data()),
                 "held-out puzzles are 0 to 11, got 12");
}

TEST_CASE("C interface: a training may diverge, and says so") {
  const TempDir dir;
  const OwnTraining t = training(sudoku_data(dir), "lr=1000 lr_warmup_steps=20 total_steps=200");
  expect_failure(hrm_training_run(t.get(), 200), "was not finite in step");
  const OwnModel model(made(hrm_training_model(t.get())), hrm_model_free);  // the last good weights
  CHECK(in_cpp(model).model);
}

TEST_CASE("C interface: to look at a training does not change it") {
  const TempDir dir;
  const std::string data = sudoku_data(dir);
  const OwnTraining looked_at = training(data, "ema=0.9"), alone = training(data, "ema=0.9");
  done(hrm_training_run(looked_at.get(), 3));
  made(hrm_training_evaluate(looked_at.get(), 5));
  made(hrm_training_gradients(looked_at.get(), "one_step"));
  hrm_model_free(made(hrm_training_model(looked_at.get())));
  done(hrm_training_run(looked_at.get(), 2));
  done(hrm_training_run(alone.get(), 5));
  const OwnModel a(made(hrm_training_model(looked_at.get())), hrm_model_free),
      b(made(hrm_training_model(alone.get())), hrm_model_free);
  const LoadedRun of_a = in_cpp(a), of_b = in_cpp(b);
  CHECK(of_a.step == 5);
  const NamedTensors want = of_b.model->state_dict();
  for (const auto& weight : of_a.model->state_dict())
    CHECK_MESSAGE(largest_difference({weight.second}, {*find(want, weight.first)}) == 0,
                  weight.first);
}

TEST_CASE("C interface: gradients are measured") {
  const TempDir dir;
  const OwnTraining t = training(sudoku_data(dir), "");
  done(hrm_training_run(t.get(), 1));
  const Json report = Json::parse(made(hrm_training_gradients(t.get(), "one_step full_bptt")));
  REQUIRE(report["rules"].size() == 2);
  CHECK(report["rules"][1]["cosine"]["all"].get<double>() == doctest::Approx(1));
  CHECK(report["rules"][0]["cosine"]["all"].get<double>() < 1);
  CHECK(report["rules"][0]["cosine"]["heads"].get<double>() == doctest::Approx(1));
  expect_failure(hrm_training_gradients(t.get(), "two_step"), "two_step");
}

TEST_CASE("C interface: refinement is that of an evaluation, update by update or not") {
  const TempDir dir;
  const std::string data = sudoku_data(dir);
  for (const std::string settings :
       {"", "levels=shared", "levels=single L_layers=0 L_cycles=0 H_cycles=1 gradient=full_bptt",
        "mlp_t=true pos_encodings=none", "pos_encodings=learned_and_rope rope=grid dtype=bf16",
        "puzzle_emb_ndim=0 puzzle_emb_len=0", "halting=fixed", "halting=confidence",
        "halting=act unroll_segments=4 continue_loss=false",
        "halting=ponder unroll_segments=4 continue_loss=false step_signal=true"}) {
    CAPTURE(settings);
    const OwnModel model = trained(data, settings);
    const hrm_sizes s = sizes_of(model);
    const Tokens puzzle = tokens_of(model, kPuzzle);
    EvalOptions options;
    options.segments = 3;
    const LoadedRun loaded = in_cpp(model);
    const PuzzleTrace want = solve_one(*loaded.model, puzzle, 0, options);

    const OwnRefinement whole = refine(model, puzzle, 1), steps = refine(model, puzzle, 1);
    const std::string updates = hrm_model_updates(model.get());
    REQUIRE(static_cast<int>(updates.size()) == s.updates);
    Tokens answer(s.cells);
    for (int segment = 0; segment < 3; ++segment) {
      done(hrm_segment(whole.get()));
      for (const char level : updates) CHECK(hrm_update(steps.get()) == level);
      CHECK(hrm_segments_done(steps.get()) == segment + 1);
      done(hrm_answers(whole.get(), answer.data()));
      CHECK(answer == want.predictions[segment]);
      CHECK(logits_of(whole, s) == logits_of(steps, s));
      hrm_halting a{}, b{};
      done(hrm_halting_values(whole.get(), &a));
      done(hrm_halting_values(steps.get(), &b));
      CHECK(a.q_halt == static_cast<float>(want.q_halt[segment]));
      CHECK(a.q_continue == static_cast<float>(want.q_continue[segment]));
      CHECK(std::memcmp(&a, &b, sizeof a) == 0);
      CHECK(a.residual > 0);
      CHECK(a.confidence > 0);
      if (segment > 0)
        CHECK(a.repeats == (want.predictions[segment] == want.predictions[segment - 1]));
    }
  }
}

TEST_CASE("C interface: between the updates H is asked what it would answer") {
  const TempDir dir;
  const OwnModel model = trained(sudoku_data(dir), "");
  const hrm_sizes s = sizes_of(model);
  const Tokens puzzle = tokens_of(model, kPuzzle);
  const OwnRefinement r = refine(model, puzzle, 1);
  CHECK(std::string(hrm_model_updates(model.get())) == "LLHLLH");

  const NoGradGuard no_grad;
  const LoadedRun loaded = in_cpp(model);
  const Model& m = *loaded.model;
  const Tensor x = m.input_embeddings(from_vector(puzzle, {1, 16}),
                                      m.puzzle_emb->rows(zeros({1}, DType::i32), false));
  State state = m.initial_state(1);
  const auto same_logits = [&](const Tensor& z_H) {
    const Tensor want = m.heads(z_H).logits.contiguous();
    const std::vector<float> got = logits_of(r, s);
    return std::equal(got.begin(), got.end(), want.data<float>());
  };
  CHECK(same_logits(state.z_H));
  const Recurrence recurrence = m.recurrence();
  std::vector<float> z(static_cast<size_t>(s.positions) * s.hidden);
  for (size_t i = 0; i + 1 < recurrence.updates.size(); ++i) {
    const Level level = recurrence.updates[i];
    const State before = state;
    state = recurrence.apply(level, state, x);
    hrm_update(r.get());
    CHECK(same_logits(level == Level::H ? state.z_H : recurrence.apply(Level::H, state, x).z_H));
    done(hrm_state(r.get(), 'L', z.data()));
    CHECK(std::equal(z.begin(), z.end(), state.z_L.data<float>()));
    done(hrm_state(r.get(), 'H', z.data()));
    CHECK(std::equal(z.begin(), z.end(), state.z_H.data<float>()));
    float change = 0;
    done(hrm_change(r.get(), &change));
    const Tensor now = level == Level::H ? state.z_H : state.z_L,
                 then = level == Level::H ? before.z_H : before.z_L;
    const double want = sqrt(sum((now - then) * (now - then))).item() / sqrt(sum(now * now)).item();
    CHECK(change == doctest::Approx(want));
  }
  // The whole segment from here on is the one that was begun.
  done(hrm_segment(r.get()));
  CHECK(hrm_segments_done(r.get()) == 1);
  CHECK(same_logits(m.segment(m.initial_state(1), x).z_H));
}

TEST_CASE("C interface: several puzzles, and noise on where they start") {
  const TempDir dir;
  const OwnModel model = trained(sudoku_data(dir), "");
  const hrm_sizes s = sizes_of(model);
  const Tokens puzzle = tokens_of(model, kPuzzle);
  Tokens two = puzzle;
  two.insert(two.end(), puzzle.rbegin(), puzzle.rend());
  const OwnRefinement both = refine(model, two, 2), one = refine(model, puzzle, 1),
                      noisy = refine(model, puzzle, 1, 0.5, 7),
                      again = refine(model, puzzle, 1, 0.5, 7),
                      other = refine(model, puzzle, 1, 0.5, 8);
  for (const auto* r : {&both, &one, &noisy, &again, &other}) done(hrm_segment(r->get()));
  const std::vector<float> plain = logits_of(one, s), pair = logits_of(both, s, 2);
  CHECK(std::equal(plain.begin(), plain.end(), pair.begin()));
  CHECK(logits_of(noisy, s) != plain);
  CHECK(logits_of(noisy, s) == logits_of(again, s));
  CHECK(logits_of(noisy, s) != logits_of(other, s));

  // The noise of an evaluation with that seed.
  const LoadedRun loaded = in_cpp(model);
  const PuzzleDataset test = open_dataset((dir.path() / "data").string(), "test");
  EvalOptions options;
  options.max_puzzles = options.traces = 1;
  options.noise = 0.5;
  options.seed = 7;
  options.segments = 1;
  const OwnRefinement first = refine(model, test.read(0).inputs, 1, 0.5, 7);
  done(hrm_segment(first.get()));
  Tokens answer(16);
  done(hrm_answers(first.get(), answer.data()));
  CHECK(answer == evaluate(*loaded.model, test, options).traces[0].predictions[0]);
}

TEST_CASE("C interface: attention is a distribution over the positions") {
  const TempDir dir;
  const std::string data = sudoku_data(dir);
  const OwnModel model = trained(data, "H_layers=2");
  const hrm_sizes s = sizes_of(model);
  CHECK(s.heads == 2);
  CHECK(s.H_layers == 2);
  const OwnRefinement r = refine(model, tokens_of(model, kPuzzle), 1);
  hrm_update(r.get());
  std::vector<float> weights(static_cast<size_t>(s.H_layers) * s.heads * s.positions * s.positions);
  done(hrm_attention(r.get(), 'H', weights.data()));
  for (size_t row = 0; row < weights.size(); row += s.positions) {
    double total = 0;
    for (int i = 0; i < s.positions; ++i) total += weights[row + i];
    CHECK(total == doctest::Approx(1));
  }
  check_attention_of_H(model, weights);
  expect_failure(hrm_attention(r.get(), 'M', weights.data()), "a level is 'H' or 'L'");
  const OwnModel mlp = trained(data, "mlp_t=true pos_encodings=none");
  CHECK(sizes_of(mlp).heads == 0);
  const OwnRefinement without = refine(mlp, tokens_of(mlp, kPuzzle), 1);
  expect_failure(hrm_attention(without.get(), 'H', weights.data()), "no attention");
}

TEST_CASE("C interface: a model is one file in memory") {
  const TempDir dir;
  const OwnModel model = trained(sudoku_data(dir), "dtype=bf16");
  size_t bytes = 0;
  const auto* file = static_cast<const char*>(made(hrm_model_weights(model.get(), &bytes)));
  const std::string copy(file, bytes);
  const OwnModel same(made(hrm_model_parse(copy.data(), bytes, nullptr)), hrm_model_free);
  const hrm_sizes s = sizes_of(model);
  CHECK(s.cells == 16);
  CHECK(s.vocab == 6);
  CHECK(s.positions == 17);
  CHECK(s.segments == 4);
  CHECK(std::string(hrm_model_config(same.get())) ==
        Json::parse(hrm_model_config(same.get())).dump());
  CHECK(Json::parse(hrm_model_config(same.get()))["task"]["side"] == 4);
  const Tokens puzzle = tokens_of(same, kPuzzle);
  CHECK(std::string(hrm_text(same.get(), puzzle.data())) == kPuzzle);
  const OwnRefinement a = refine(model, puzzle, 1), b = refine(same, puzzle, 1);
  done(hrm_segment(a.get()));
  done(hrm_segment(b.get()));
  CHECK(logits_of(a, s) == logits_of(b, s));

  // The settings may come from elsewhere, and must be there.
  write_safetensors(dir.path() / "bare", in_cpp(model).model->state_dict(kOfficialPrefix));
  const std::string bare = read_file(dir.path() / "bare");
  expect_failure(hrm_model_parse(bare.data(), bare.size(), nullptr), "not the settings");
  const std::string config = hrm_model_config(model.get());
  const OwnModel told(made(hrm_model_parse(bare.data(), bare.size(), config.c_str())),
                      hrm_model_free);
  CHECK(sizes_of(told).parameters == s.parameters);
  expect_failure(hrm_model_parse(bare.data(), bare.size(), "{"), "config.json");
  expect_failure(hrm_model_parse(copy.data(), bytes - 1, nullptr), "[safetensors]");
  expect_failure(hrm_model_parse(copy.data(), 5, nullptr), "[safetensors]");
  // Settings of another model, or of other puzzles, are noticed before anything is made of them.
  Json other = Json::parse(config);
  other["model"]["hidden_size"] = 64;
  expect_failure(hrm_model_parse(bare.data(), bare.size(), other.dump().c_str()),
                 "not of a model with vocab_size 6 and hidden_size 64");
  other = Json::parse(config);
  other["model"]["H_layers"] = 1000;
  expect_failure(hrm_model_parse(bare.data(), bare.size(), other.dump().c_str()), "fewer layers");
  other = Json::parse(config);
  other["model"]["num_puzzle_identifiers"] = 1000000000;
  expect_failure(hrm_model_parse(bare.data(), bare.size(), other.dump().c_str()),
                 "puzzle_emb.weights' of shape (1000000000, 32)");
  other = Json::parse(config);
  other["task"] = {{"task", "n_queens"}, {"side", 16}};
  expect_failure(hrm_model_parse(bare.data(), bare.size(), other.dump().c_str()),
                 "puzzles of kind 'n_queens' have others");
  // A refinement keeps its model.
  hrm_model* gone = made(hrm_model_parse(copy.data(), bytes, nullptr));
  const OwnRefinement left(made(hrm_refine(gone, puzzle.data(), 1, 0, 0)), hrm_refinement_free);
  hrm_model_free(gone);
  done(hrm_segment(left.get()));
  CHECK(logits_of(left, s) == logits_of(a, s));
  // Weights that are finite, but give no number.
  NamedTensors huge = in_cpp(model).model->state_dict(kOfficialPrefix);
  for (auto& weight : huge)
    if (weight.first.ends_with("embed_tokens.embedding_weight")) weight.second.fill(3e38);
  write_safetensors(dir.path() / "huge", huge);
  const std::string of_huge = read_file(dir.path() / "huge");
  const OwnModel wild(made(hrm_model_parse(of_huge.data(), of_huge.size(), config.c_str())),
                      hrm_model_free);
  const OwnRefinement lost = refine(wild, puzzle, 1);
  hrm_halting halting{};
  expect_failure(hrm_segment(lost.get()), "gives no number");
  expect_failure(hrm_halting_values(lost.get(), &halting), "no whole segment yet");
  expect_failure(hrm_segment(lost.get()), "failed half-way. HINT: hrm_refine");
  // A file on disk is opened as a run.
  write_file_atomically(dir.path() / "model.safetensors", copy);
  const std::string path = (dir.path() / "model.safetensors").string();
  const OwnModel opened(made(hrm_model_open(path.c_str(), nullptr)), hrm_model_free);
  CHECK(sizes_of(opened).parameters == s.parameters);
  expect_failure(hrm_model_open(path.c_str(), "best"), "leave out the checkpoint");
}

TEST_CASE("C interface: what a caller gets wrong is one line") {
  const TempDir dir;
  const std::string data = sudoku_data(dir);
  const OwnModel model = trained(data, "");
  Tokens puzzle = tokens_of(model, kPuzzle), answer(16);

  done(hrm_solution(model.get(), puzzle.data(), answer.data()));
  CHECK(std::string(hrm_wrong(model.get(), puzzle.data(), answer.data())).empty());
  std::swap(answer[0], answer[1]);
  CHECK(std::string(hrm_wrong(model.get(), puzzle.data(), answer.data())) != "");

  expect_failure(hrm_model_open("no/such/run", nullptr), "no/such/run");
  expect_failure(hrm_model_open(nullptr, nullptr), "run is NULL");
  expect_failure(hrm_model_sizes(nullptr, nullptr), "a handle is NULL");
  expect_failure(hrm_model_sizes(model.get(), nullptr), "sizes is NULL");
  expect_failure(hrm_parse(model.get(), "41.2", puzzle.data()), "[sudoku]");
  expect_failure(hrm_refine(model.get(), puzzle.data(), 0, 0, 0), "at least 1, got 0");
  expect_failure(hrm_refine(model.get(), puzzle.data(), 1, -1, 0), "the noise must be");
  puzzle[3] = 6;
  expect_failure(hrm_refine(model.get(), puzzle.data(), 1, 0, 0),
                 "puzzles[3] must be a token from 0 to 5, got 6");
  expect_failure(hrm_text(model.get(), puzzle.data()), "tokens[3]");
  const OwnRefinement r = refine(model, tokens_of(model, kPuzzle), 1);
  hrm_halting halting{};
  expect_failure(hrm_halting_values(r.get(), &halting), "no whole segment yet");

  const std::string out = (dir.path() / "more").string();
  expect_failure(hrm_make_data("chess", 8, 10, 1, 0, out.c_str()), "HINT: sudoku, ");
  expect_failure(hrm_make_data("n_queens", 1, 10, 1, 0, out.c_str()), "the side of n_queens");
  expect_failure(hrm_make_data("sudoku", 4, 10, 10, 0, out.c_str()), "but not all, got 10");
  expect_failure(hrm_make_data("sudoku", 4, -5, -10, 0, out.c_str()), "got -5 puzzles");
  expect_failure(hrm_make_data("a\nb", 4, 10, 1, 0, out.c_str()), "cannot be generated");
  CHECK(!std::filesystem::exists(out));
  expect_failure(hrm_train(out.c_str(), "sudoku4", ""), out);
  expect_failure(hrm_train(data.c_str(), "sudoku", ""), "unknown preset");
  expect_failure(hrm_train(data.c_str(), "lattice4", ""), "is a lattice");
  expect_failure(hrm_train(data.c_str(), "sudoku4", "hiden_size=32"), "hidden_size");
  expect_failure(hrm_train(data.c_str(), "sudoku4", "hidden_size=30"), "num_heads");
  expect_failure(hrm_train(data.c_str(), "sudoku4", "seq_len=16"), "a size of the data set");
  expect_failure(hrm_train(data.c_str(), "sudoku4", "conditioning=blank"), "must be variant");
  const OwnTraining t = training(data, "");
  expect_failure(hrm_training_run(t.get(), 0), "at least 1, got 0");
  hrm_model_free(nullptr);
  hrm_refinement_free(nullptr);
  hrm_training_free(nullptr);
  CHECK(std::string(hrm_version()).find('.') != std::string::npos);
}

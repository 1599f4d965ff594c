// Runs and their folders: what resuming accepts and refuses, checkpoints that are damaged or belong
// to another run, locks and links.
#include <cmath>
#include <fstream>

#include "hrm/cli/commands.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/train/run_files.h"
#include "hrm/train/run_folder.h"
#include "hrm/view/metrics.h"
#include "hrm/view/report.h"
#include "tests/support/small_run.h"

using namespace hrm;
using namespace hrm::test;

TEST_CASE("resuming refuses another configuration and another data set") {
  SmallRun s;
  s.trainer("run")->run({});
  s.config.model.H_layers = 2;
  expect_error([&] { s.trainer("run")->resume(); }, "H_layers = 1, not 2");
  s.config.model.H_layers = 1;
  s.config.train.beta2 = 0.5;
  expect_error([&] { s.trainer("run")->resume(); }, "was made with beta2 = 0.95, not 0.5");
  s.config.train.beta2 = 0.95;
  expect_error([&] { s.trainer("new")->resume(); }, "has no checkpoint");
  // The same puzzles in another folder are the same data set; others of the same shape are not.
  const SmallRun same;
  CHECK(same.train->identity() == s.train->identity());
  CHECK(same.test->identity() != s.train->identity());
  Trainer moved(s.config, *same.train, same.test.get(), s.dir / "run");
  moved.resume();
  CHECK(moved.steps_done() == 12);
  const SmallRun other(31);
  Trainer wrong(s.config, *other.train, other.test.get(), s.dir / "run");
  expect_error([&] { wrong.resume(); }, "is not the one that the run was trained on");
}

// tests/fixtures/resume was written by an earlier version of the program: a run of nine steps, of
// which the checkpoint of the third is left, all its lines of metrics, and its weights at the end.
// Other processors round differently, so the numbers are near; the keys and the counts are the
// same.
TEST_CASE("a run goes on from a checkpoint that an earlier version has written") {
  const TempDir dir;
  const Path fixture = "tests/fixtures/resume";
  fs::copy(fixture, dir / "run", fs::copy_options::recursive);
  const Config config = read_config(dir / "run");
  const PuzzleDataset train = open_dataset(config.data, "train");
  const PuzzleDataset test = open_dataset(config.data, "test");
  Trainer trainer(config, train, &test, dir / "run");
  const Resumed resumed = trainer.resume();
  CHECK(resumed.damaged.empty());
  CHECK(resumed.changes.empty());
  CHECK(trainer.steps_done() == 3);
  trainer.run({});

  std::istringstream expected(without_times(read_file(fixture / "metrics.jsonl")));
  std::istringstream got(without_times(read_file(dir / "run" / "metrics.jsonl")));
  int64_t lines = 0;
  for (std::string a, b; std::getline(expected, a); ++lines) {
    std::getline(got, b);
    CAPTURE(a);
    CAPTURE(b);
    const Json x = Json::parse(a), y = Json::parse(b);
    REQUIRE(x.size() == y.size());
    for (const auto& [key, value] : x.items()) {
      if (value.is_number())
        CHECK(y.at(key).get<double>() == doctest::Approx(value.get<double>()).epsilon(1e-4));
      else
        CHECK(y.at(key) == value);
    }
  }
  CHECK(lines == 10);
  const Path end = "model.safetensors";
  const NamedTensors recorded = read_safetensors(fixture / "end" / end).tensors;
  const NamedTensors weights =
      read_safetensors(dir / "run" / "checkpoints" / "step_00000009" / end).tensors;
  REQUIRE(weights.size() == recorded.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto u = weights[i].second.to_vector(), v = recorded[i].second.to_vector();
    CAPTURE(weights[i].first);
    REQUIRE(weights[i].first == recorded[i].first);
    REQUIRE(u.size() == v.size());
    for (size_t k = 0; k < u.size(); ++k)
      if (!(std::abs(u[k] - v[k]) < 1e-4)) FAIL_CHECK("element " << k << ": " << u[k] - v[k]);
  }
}

TEST_CASE("resuming takes the newest checkpoint that is whole, and says which are not") {
  SmallRun s;
  s.config.train.keep_checkpoints = 3;
  s.trainer("run")->run({});
  const std::vector<Path> all = list_checkpoints(s.dir / "run");
  REQUIRE(all.size() == 3);  // of steps 8, 10 and 12
  const auto damage = [](const Path& file, int64_t at) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(at);
    stream.put('#');
  };
  damage(all[2] / "model.safetensors", 4000);
  const auto resumed = s.trainer("run");
  const Resumed first = resumed->resume();
  REQUIRE(first.damaged.size() == 1);
  CHECK(first.damaged[0].find("step_00000012") != std::string::npos);
  CHECK(first.damaged[0].find("its checksum is wrong") != std::string::npos);
  CHECK(resumed->steps_done() == 10);
  // Going on from there comes to the same end.
  resumed->run({});
  const auto whole = s.trainer("whole");
  whole->run({});
  CHECK(same_weights(whole->model(), resumed->model()));
  CHECK(read_file(s.dir / "run" / "checkpoints" / "step_00000012" / "training.safetensors") ==
        read_file(s.dir / "whole" / "checkpoints" / "step_00000012" / "training.safetensors"));

  fs::resize_file(all[2] / "training.safetensors", 100);
  Json state = read_json(all[1] / "state.json");
  state["step"] = 9;
  write_file_atomically(all[1] / "state.json", state.dump());
  CHECK(s.trainer("run")->resume().damaged.size() == 2);
  for (const Path& folder : all) fs::remove(folder / "state.json");
  expect_error([&] { s.trainer("run")->resume(); }, "no checkpoint of");
}

TEST_CASE("a damaged checkpoint that was passed over never displaces a whole one") {
  SmallRun s;
  s.config.train.eval_every = 0;
  s.config.train.keep_checkpoints = 2;
  s.trainer("run")->run({});  // steps 8 and 12
  fs::remove(s.dir / "run" / "checkpoints" / "step_00000012" / "model.safetensors");
  s.config.train.keep_checkpoints = 1;
  const auto resumed = s.trainer("run");
  CHECK(resumed->resume().damaged.size() == 1);
  TrainCallbacks callbacks;
  callbacks.stop = [] { return true; };
  CHECK(resumed->run(callbacks) == TrainOutcome::stopped);
  const auto again = s.trainer("run");
  CHECK(again->resume().damaged.size() == 1);
  CHECK(again->steps_done() == 9);
}

TEST_CASE("checkpoints of another format are not taken for damaged ones") {
  SmallRun s;
  s.trainer("run")->run({});
  const Path file = list_checkpoints(s.dir / "run").back() / "state.json";
  Json state = read_json(file);
  state["format"] = 1;
  write_file_atomically(file, state.dump());
  CHECK(s.trainer("run")->resume().damaged.size() == 1);  // a flipped number
  state.erase("checksum");
  write_file_atomically(file, state.dump());
  expect_error([&] { s.trainer("run")->resume(); }, "HINT: use the version of hrm that wrote it");
}

TEST_CASE("a run that stopped early, or is longer than asked for, does not go on") {
  SmallRun s;
  s.config.train.eval_every = 1;
  s.config.train.early_stop = 2;
  s.config.train.total_steps = 50;
  s.config.train.lr = 0;
  const auto early = s.trainer("early");
  CHECK(early->run({}) == TrainOutcome::early_stopped);
  const auto resumed = s.trainer("early");
  resumed->resume();
  CHECK(resumed->finished());
  CHECK(resumed->run({}) == TrainOutcome::early_stopped);
  CHECK(resumed->steps_done() == early->steps_done());
  s.config.train.total_steps = 2;
  expect_error([&] { s.trainer("early")->resume(); }, "has made 3 steps already, more than 2");
}

TEST_CASE("every value of state.json is covered by its checksum") {
  SmallRun s;
  s.trainer("run")->run({});
  const Path file = list_checkpoints(s.dir / "run").back() / "state.json";
  const Json whole = read_json(file);
  for (const auto& [name, value] : whole.items()) {
    const std::string key = name;  // clang captures no structured binding
    Json state = whole;
    state[key] = value.is_number() ? Json(value.get<double>() + 1) : Json("other");
    write_file_atomically(file, state.dump());
    CHECK_MESSAGE(s.trainer("run")->resume().damaged.size() == 1, key);
  }
  write_file_atomically(file, whole.dump());  // the same values in another layout
  CHECK(s.trainer("run")->resume().damaged.empty());
}

TEST_CASE("a resumed run may go on with other rates and longer, and says so in its metrics") {
  SmallRun s;
  s.trainer("run")->run({});
  s.config.train.lr = 5e-4;
  s.config.train.clip_norm = 1;
  s.config.train.weight_decay = 0.2;
  s.config.train.puzzle_emb_lr = 2e-3;
  s.config.train.lr_min_ratio = 0.5;
  s.config.train.total_steps = 20;
  const auto longer = s.trainer("run");
  CHECK(longer->resume().changes.size() == 6);
  CHECK(longer->run({}) == TrainOutcome::finished);
  CHECK(longer->steps_done() == 20);
  const std::string metrics = read_file(s.dir / "run" / "metrics.jsonl");
  CHECK(metrics.find(R"("lr":[0.001,0.0005])") != std::string::npos);
  CHECK(metrics.find(R"("total_steps":[12,20])") != std::string::npos);
  const MetricLines lines = read_metrics(s.dir / "run");
  CHECK(lines.train.size() == 20);
  CHECK(lines.train.back().at("step") == 20);
}

TEST_CASE("a run that is killed before its first checkpoint has no line of metrics twice") {
  const SmallRun s;
  struct Kill {};
  TrainCallbacks callbacks;
  callbacks.on_metrics = [](const TrainMetrics& m) {
    if (m.step == 3) throw Kill();
  };
  CHECK_THROWS_AS(s.trainer("run")->run(callbacks), Kill);
  CHECK(list_checkpoints(s.dir / "run").empty());
  s.trainer("run")->run({});
  s.trainer("whole")->run({});
  CHECK(without_times(read_file(s.dir / "run" / "metrics.jsonl")) ==
        without_times(read_file(s.dir / "whole" / "metrics.jsonl")));
}

TEST_CASE("the checkpoint comes before the evaluation, which is made up for when it was cut off") {
  SmallRun s;
  s.config.train.eval_every = 0;
  s.config.train.final_eval_puzzles = 7;
  const auto whole = s.trainer("whole");
  whole->run({});
  CHECK(read_json(s.dir / "whole" / "evaluation.json").at("count") == 7);
  struct Kill {};
  TrainCallbacks callbacks;
  callbacks.on_eval_start = [](int64_t step) {
    CHECK(step == 12);
    throw Kill();
  };
  CHECK_THROWS_AS(s.trainer("run")->run(callbacks), Kill);
  CHECK(list_checkpoints(s.dir / "run").back().filename() == "step_00000012");
  CHECK_FALSE(fs::exists(s.dir / "run" / "evaluation.json"));
  for (int i = 0; i < 2; ++i) {  // the second time there is nothing to do
    const auto resumed = s.trainer("run");
    resumed->resume();
    CHECK(resumed->finished() == (i == 1));
    resumed->run({});
    CHECK(without_times(read_file(s.dir / "run" / "metrics.jsonl")) ==
          without_times(read_file(s.dir / "whole" / "metrics.jsonl")));
  }
  CHECK(read_checkpoint(s.dir / "run" / "best", true).state["step"] == 12);
  // Without a number of its own, the last evaluation is like the others.
  s.config.train.final_eval_puzzles = -1;
  s.trainer("like the others")->run({});
  CHECK(read_json(s.dir / "like the others" / "evaluation.json").at("count") == 16);
}

TEST_CASE("weights of another run: tables without names, and a checkpoint before the first step") {
  SmallRun s;
  const auto source = s.trainer("source");
  for (int i = 0; i < 4; ++i) source->step();
  const auto started = s.trainer("run");
  CHECK(started->start_from(source->model(), {}) == 0);  // row 0 is blank
  CHECK(same_weights(source->model(), started->model()));
  TrainCallbacks callbacks;
  std::vector<std::string> saved;
  callbacks.stop = [] { return true; };
  callbacks.on_checkpoint = [&](const Path& path) { saved.push_back(path.filename().string()); };
  started->run(callbacks);
  CHECK(saved == std::vector<std::string>{"step_00000000", "step_00000001"});
}

TEST_CASE("checkpoints: stray files stay, links are not followed, a cut-off exchange is mended") {
  SmallRun s;
  const auto trainer = s.trainer("run");
  trainer->run({});
  const Path run = s.dir / "run", folder = run / "checkpoints";
  fs::copy(folder / "step_00000012", folder / "step_00000001_backup");
  write_file_atomically(folder / "step_notes.txt", std::string("mine"));
  fs::create_directories(s.dir / "elsewhere");
  write_file_atomically(s.dir / "elsewhere" / "thesis", std::string("mine"));
  fs::create_directory_symlink(s.dir / "elsewhere", folder / "step_00000003");
  prune_checkpoints(run, 1, 12);
  remove_temporaries(run);
  CHECK(list_checkpoints(run).size() == 1);
  CHECK(fs::exists(folder / "step_00000001_backup" / "state.json"));
  CHECK(fs::exists(folder / "step_notes.txt"));
  CHECK(fs::exists(s.dir / "elsewhere" / "thesis"));
  // Half written: gone. A user's file with such an ending: not ours.
  fs::create_directories(folder / "step_00000099.tmp");
  write_file_atomically(run / "notes.tmp", std::string("mine"));
  // As where folders cannot be exchanged: the old one is beside, the new one never came.
  fs::rename(run / "best", run / "best.old");
  remove_temporaries(run);
  CHECK_FALSE(fs::exists(folder / "step_00000099.tmp"));
  CHECK(fs::exists(run / "notes.tmp"));
  CHECK(fs::exists(run / "best" / "state.json"));
  // A checkpoint folder that leads elsewhere.
  fs::rename(folder, s.dir / "elsewhere" / "checkpoints");
  fs::create_directory_symlink(s.dir / "elsewhere" / "checkpoints", folder);
  expect_error([&] { const RunFolder held(run); }, "checkpoints is a link");
}

TEST_CASE("a run folder: one process, and no trace of a start that failed") {
  const TempDir dir;
  const Path run = dir / "runs" / "mine";
  { const RunFolder folder(run); }
  CHECK_FALSE(fs::exists(dir / "runs"));
  {
    const RunFolder folder(run);
    expect_error([&] { const RunFolder second(run); }, "is in use by process");
    CHECK_FALSE(folder.has_run());
    write_file_atomically(run / "config.json", std::string("{}"));
    CHECK(folder.has_run());
  }
  CHECK(fs::exists(run / "config.json"));
  RunFolder(run).discard();
  CHECK_FALSE(fs::exists(run / "config.json"));
  write_file_atomically(run / "notes.txt", std::string("mine"));
  { const RunFolder folder(run); }
  CHECK(fs::exists(run / "notes.txt"));
}

TEST_CASE("state.json with a right checksum and wrong values: one line that names it") {
  SmallRun s;
  s.trainer("run")->run({});
  const Path folder = list_checkpoints(s.dir / "run").back();
  const Json whole = read_json(folder / "state.json");
  const auto refused = [&](const char* key, const Json& value, const std::string& message) {
    Json state = whole;
    state[key] = value;
    if (value == "absent") state.erase(key);
    write_checkpoint_state(folder, state);
    const std::string where = (folder / "state.json").string();
    expect_error([&] { s.trainer("run")->resume(); }, message);
    expect_error([&] { s.trainer("run")->resume(); }, where);
  };
  refused("step", nullptr, "'step' must be a whole number");
  refused("step", -1, "'step' must be a whole number");
  refused("samples", 1.5, "'samples' must be a whole number");
  refused("samples", std::numeric_limits<int64_t>::max(), "'samples' must be a whole number");
  refused("best", "x", "'best' must be a number");
  refused("evaluation_due", 1, "'evaluation_due' must be true or false");
  refused("metrics_bytes", "absent", "'metrics_bytes'");
  refused("config", Json::array(), "'config' must be a JSON object");
  refused("sampler", 7, "'sampler' must be a JSON object");
  write_checkpoint_state(folder, whole);
  CHECK(s.trainer("run")->resume().damaged.empty());
}

TEST_CASE("another test split is said when a run goes on") {
  SmallRun s;
  s.trainer("run")->run({});
  const SmallRun other(31);
  Trainer mixed(s.config, *s.train, other.test.get(), s.dir / "run");
  const Resumed resumed = mixed.resume();
  CHECK(resumed.notes.size() == 1);
  CHECK(resumed.notes.at(0).starts_with("the test split is not the one of before"));
  CHECK(s.trainer("run")->resume().notes.empty());
  // A run that has no test split any more, or had none, compares nothing.
  Trainer without(s.config, *s.train, nullptr, s.dir / "run");
  CHECK(without.resume().notes.empty());
}

TEST_CASE("weights that are not finite are refused, and so are answers that are no number") {
  SmallRun s;
  const auto trainer = s.trainer("run");
  trainer->run({});
  CHECK(load_run(s.dir / "run", "best").step > 0);
  CHECK(load_run(s.dir / "run", "step_00000012").step == 12);
  expect_error([&] { load_run(s.dir / "run", "step_00000013"); }, "there is no checkpoint");
  Checkpoint checkpoint = read_checkpoint(s.dir / "run" / "best");
  for (auto& [name, tensor] : checkpoint.model)
    if (name.ends_with("q_head.weight")) {
      tensor = tensor.clone();
      tensor.data<float>()[3] = NAN;
    }
  write_checkpoint(s.dir / "run" / "best", checkpoint);
  expect_error([&] { load_run(s.dir / "run", ""); },
               "q_head.weight' must hold finite numbers, got nan at element 3");
  Model model(s.config.model, nullptr);
  model.q_head.bias.value.fill(NAN);
  model.q_head.bias.refresh();
  EvalOptions options;
  options.halting = true;
  expect_error([&] { evaluate(model, *s.test, options); }, "gives no number");
  // In a training the check of every step says what is wrong; the evaluation goes on.
  EvalOptions in_training;
  in_training.allow_nan = true;
  CHECK(evaluate(model, *s.test, in_training).count == s.test->num_examples());
  const std::vector<int> puzzle(16, 1);
  expect_error([&] { solve_one(model, puzzle, 0, options); }, "gives no number");
}

TEST_CASE("a checkpoint of which a part is missing, with right checksums") {
  SmallRun s;
  s.trainer("run")->run({});
  const Path folder = list_checkpoints(s.dir / "run").back();
  const Checkpoint whole = read_checkpoint(folder);
  const auto without = [&](const std::string& prefix) {
    Checkpoint checkpoint = whole;
    std::erase_if(checkpoint.training, [&](const auto& t) { return t.first.starts_with(prefix); });
    write_checkpoint(folder, checkpoint);
    return [&] { s.trainer("run")->resume(); };
  };
  expect_error(without("carry.z_H"), "the checkpoint has no 'carry.z_H' of this shape");
  expect_error(without("window"), "the checkpoint has no 'window' of this shape");
  expect_error(without("window"), folder.string());
  write_checkpoint(folder, whole);
  s.trainer("run")->resume();
}

TEST_CASE("weights of a run with other puzzles need names to find the rows by") {
  SmallRun s;
  ModelConfig other = s.config.model;
  other.num_puzzle_identifiers += 3;
  const Model model(other, nullptr);
  expect_error([&] { s.trainer("run")->start_from(model, {}); }, "or with puzzle_emb_ndim=0");
  // The hint, followed: a model without a table takes all the rest.
  s.config.model.puzzle_emb_ndim = s.config.model.puzzle_emb_len = 0;
  const auto bare = s.trainer("bare");
  CHECK(bare->start_from(model, {}) == 0);
  CHECK(bare->model().embed_tokens.weight.value.to_vector() ==
        model.embed_tokens.weight.value.to_vector());
}

// The laboratory: statistics against hand-worked cases, experiment files, what is made of records,
// rollouts, metrics for other programs.
#include <cmath>
#include <fstream>

#include "hrm/eval/rollouts.h"
#include "hrm/lab/experiment_page.h"
#include "hrm/presets.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/train/trainer.h"
#include "hrm/view/metrics.h"
#include "hrm/view/page.h"
#include "tests/support/support.h"
#include "tests/support/tiny.h"

using namespace hrm;
using namespace hrm::lab;
using namespace hrm::test;
namespace fs = std::filesystem;

namespace {

Path write(const TempDir& dir, const std::string& text) {
  const Path file = dir / "try.json";
  write_file_atomically(file, text);
  return file;
}

// Two axes, one of which also changes the data, and an evaluation for each value of a list.
constexpr const char* kFile = R"json({
  "title": "T", "question": "Q", "data": {"d": "sudoku --side 4 --count {count}"},
  "train": "--preset sudoku4", "set": {"lr": 0.002},
  "vary": [{"name": "loops", "path": "set.halt_max_steps", "values": [1, 4]},
           {"name": "count", "values": [100, 200]}],
  "seeds": [0, 3],
  "evaluate": {"test": "", "q": {"run": "eval --halt-threshold {t} --data {data:d}", "t": [-1, 2]}},
  "full": {"train": "--preset hrm-27m", "set": {"lr": null}}
})json";

Record record(const std::string& loops, const std::string& seed, double exact,
              const std::string& solved = "") {
  Record r;
  r.labels = {{"loops", loops}, {"seed", seed}, {"evaluation", "test"}};
  r.values["exact"] = exact;
  r.solved = solved;
  return r;
}

// A model that solves some of the 4x4 puzzles with the given numbers of givens.
struct Trained {
  TempDir dir;
  PuzzleDataset train, test;
  std::unique_ptr<Trainer> trainer;

  Trained(int64_t segments, int64_t test_count, int givens_low, int givens_high)
      : train(open_dataset(build(test_count, givens_low, givens_high), "train")),
        test(open_dataset(dir / "data", "test")) {
    Config config = preset("sudoku4");
    make_tiny(config.model, 32);
    config.model.mlp_t = true;
    config.model.halt_max_steps = segments;
    config.train.batch_size = 16;
    config.train.total_steps = 120;
    config.train.lr = 3e-3;
    config.train.lr_warmup_steps = 5;
    fs::create_directories(dir / "run");
    trainer = std::make_unique<Trainer>(config, train, nullptr, dir / "run");
    for (int i = 0; i < 120; ++i) trainer->step();
  }
  Path build(int64_t test_count, int low, int high) const {
    SudokuBuild b = tiny_sudoku(4, 10 * test_count, test_count);
    b.givens_low = low;
    b.givens_high = high;
    build_sudoku(b, dir / "data");
    return dir / "data";
  }
};

}  // namespace

TEST_CASE("statistics: quantiles of Student's t, intervals") {
  // Tables: t(0.975) for 1, 2, 5, 30 degrees of freedom.
  CHECK(student_quantile(1) == doctest::Approx(12.7062).epsilon(1e-5));
  CHECK(student_quantile(2) == doctest::Approx(4.30265).epsilon(1e-5));
  CHECK(student_quantile(5) == doctest::Approx(2.57058).epsilon(1e-5));
  CHECK(student_quantile(30) == doctest::Approx(2.04227).epsilon(1e-5));
  // 1, 2, 3: mean 2, standard deviation 1, 4.30265 / sqrt(3).
  const Summary s = summarize(std::vector<double>{1, 2, 3});
  CHECK(s.count == 3);
  CHECK(s.mean == doctest::Approx(2));
  CHECK(s.half_width == doctest::Approx(2.48414).epsilon(1e-5));
  CHECK(std::isnan(summarize(std::vector<double>{7}).half_width));
  CHECK(summarize(std::vector<double>(13, 64)).half_width == 0);  // no rounding shows
  expect_error([] { student_quantile(0); }, "needs a degree of freedom");
}

TEST_CASE("statistics: the paired test is the sign test, of one seed McNemar's") {
  // 10 puzzles differ, split 9 to 1: 2 (C(10,0) + C(10,1)) / 1024 = 22 / 1024.
  CHECK(paired_test(9, 1).p == doctest::Approx(22.0 / 1024));
  CHECK(paired_test(1, 9).p == doctest::Approx(22.0 / 1024));
  CHECK(paired_test(5, 5).p == 1);
  CHECK(paired_test(0, 0).p == 1);
  const PairedTest one = paired_test({"1110"}, {"0101"});
  CHECK(one.more_first == 2);
  CHECK(one.more_second == 1);
  // Over seeds: the first solves puzzle 0 twice, the second once; puzzle 1 once each.
  const PairedTest two = paired_test({"11", "10"}, {"10", "01"});
  CHECK(two.more_first == 1);
  CHECK(two.more_second == 0);
  expect_error([] { paired_test({"11"}, {"110"}); }, "tried on 2 and on 3 puzzles");
  expect_error([] { paired_test({"11"}, {}); }, "as many seeds");
}

TEST_CASE("experiment: a file becomes the product of its axes") {
  const TempDir dir;
  const Experiment e = read_experiment(write(dir, kFile), {});
  REQUIRE(e.trials.size() == 8);  // 2 loops x 2 counts x 2 seeds
  CHECK(e.name == "try");
  CHECK(to_string(e.trials[0].labels) == "loops=1,count=100,seed=0");
  CHECK(to_string(e.trials[7].labels) == "loops=4,count=200,seed=3");
  // A data set for each count, named once.
  REQUIRE(e.data.size() == 2);
  CHECK(to_string(e.data.at("d")) == "sudoku --side 4 --count 100");
  CHECK(to_string(e.data.at("d-2")) == "sudoku --side 4 --count 200");
  CHECK(to_string(e.trials[7].train) ==
        "train --preset sudoku4 --data {data:d-2} --seed 3 --set lr=0.002 --set halt_max_steps=4");
  REQUIRE(e.trials[7].judgements.size() == 3);
  CHECK(e.trials[7].judgements[0].words.empty());
  CHECK(to_string(e.trials[7].judgements[2].labels) == "evaluation=q,t=2");
  CHECK(to_string(e.trials[7].judgements[2].words) == "eval --halt-threshold 2 --data {data:d-2}");

  ExperimentOptions options;
  options.only = "loops=4,seed=3";
  options.settings = {"lr=0.1"};
  CHECK(read_experiment(dir / "try.json", options).trials.size() == 2);
  CHECK(to_string(read_experiment(dir / "try.json", options).trials[0].train).ends_with("lr=0.1"));
  options = {};
  options.full = true;
  const std::string full = to_string(read_experiment(dir / "try.json", options).trials[0].train);
  CHECK(full.find("hrm-27m") != std::string::npos);
  CHECK(full.find("lr=") == std::string::npos);
}

TEST_CASE("experiment: every mistake in a file is one line that names it") {
  const TempDir dir;
  const auto bad = [&](const std::string& what, const std::string& by, const std::string& message) {
    std::string text = kFile;
    REQUIRE(text.find(what) != std::string::npos);
    text.replace(text.find(what), what.size(), by);
    const Path file = write(dir, text);
    expect_error([&] { read_experiment(file, {}); }, message);
    expect_error([&] { read_experiment(file, {}); }, "try.json");
  };
  bad("\"question\"", "\"qestion\"", "unknown key 'qestion'. HINT: did you mean 'question'?");
  bad("\"lr\"", "\"lrr\"", "unknown key 'lrr'");
  bad("0.002", "\"fast\"", "lr must be a number");
  bad("sudoku4", "sudoku5", "unknown preset 'sudoku5'");
  bad("[1, 4]", "[]", "loops needs values");
  bad("[1, 4]", "[0, 4]", "halt_max_steps must be in 1..");
  bad("[0, 3]", "[-1]", "seeds must be numbers from 0");
  bad("[0, 3]", "7", "seeds must be a list");
  bad("\"test\": \"\"", "\"test\": 7", "test must be a command");
  bad("[-1, 2]", "3", "t must be a list");
  bad("sudoku --side 4", "arc --from {arc}", "--arc ARC-AGI/data");
  bad("{\"d\":", "{", "is not valid JSON");
  Json many = Json::parse(kFile);
  for (int i = 4; i < 1000; ++i) many["seeds"].push_back(i);
  CHECK(parse_experiment(many, "try.json", {}).trials.size() == 4 * many["seeds"].size());
  many["vary"].push_back({{"name", "again"}, {"values", {1, 2, 3}}});
  expect_error([&] { parse_experiment(many, "try.json", {}); }, "at most 10000 models");
  bad("set.halt_max_steps", "set.", "a path must be a setting such as set.hidden_size");
  bad("set.halt_max_steps", "charts.0", "a path must be a setting such as set.hidden_size");
  bad("\"question\": ", "\"curve\": 1, \"question\": ", "'curve' must be true or false, got 1");
  bad("\"question\": ", "\"charts\": [{\"y\": 3}], \"question\": ", "'y' must be text, got 3");
  bad("\"question\": ", "\"charts\": [{\"published\": {\"a\": {\"1\": \"x\"}}}], \"question\": ",
      "charts: published: a: '1' must be a number");
  bad("\"question\": ", "\"compare\": [[{}, 1]], \"question\": ",
      "compare: must hold pairs of objects");
  ExperimentOptions options;
  options.only = "loops=3";
  const Path file = write(dir, kFile);
  expect_error(
      [&] { read_experiment(file, options); },
      "no model has loops=3. HINT: there are loops=1, loops=4, count=100, count=200, seed=0, "
      "seed=3");
  options.only = "foo=1";
  expect_error([&] { read_experiment(file, options); },
               "no model has foo=1. HINT: there are loops=1");
  options.only = "loops=1,seed=1";
  expect_error([&] { read_experiment(file, options); }, "no model has loops=1 and seed=1. HINT");
  options.only = "loops=1,4,seed=0";
  expect_error([&] { read_experiment(file, options); }, "no model has loops=1,4.");
}

TEST_CASE("experiment: a folder of tasks may have a blank in its name") {
  const TempDir dir;
  std::string text = kFile;
  text.replace(text.find("sudoku --side 4"), 15, "arc --from {arc}/x");
  text.replace(text.find(" --count {count}"), 16, "");
  ExperimentOptions options;
  options.arc = dir / "a b";
  const Experiment e = read_experiment(write(dir, text), options);
  CHECK(e.data.at("d") == Words{"arc", "--from", (dir / "a b/x").string()});
}

TEST_CASE("experiment: the words of a file write nowhere but below --out") {
  const TempDir dir;
  const auto refused = [&](const Json& change, const std::string& message) {
    Json json = Json::parse(kFile);
    json.merge_patch(change);
    const Path file = write(dir, json.dump());
    expect_error([&] { read_experiment(file, {}); }, "try.json: " + message);
  };
  const auto data = [](const std::string& words) { return Json{{"data", {{"d", words}}}}; };
  const auto train = [](const std::string& words) { return Json{{"train", words}}; };
  const auto evaluate = [](const Json& how) { return Json{{"evaluate", {{"test", how}}}}; };
  refused(data("maze --size 5 --csv /any/file"),
          "data: d: an experiment may not pass --csv to `hrm data maze`. HINT: it may pass --size");
  refused(data("maze --csv=/any/file"), "data: d: an experiment may not pass --csv to");
  refused(data("sudoku --out /any"), "data: d: an experiment may not pass --out to");
  refused(data("sudoku --replace"), "data: d: an experiment may not pass --replace to");
  refused(data("sudoku --count 5 -- x"), "data: d: an experiment may not pass -- to");
  refused(data("show /any"),
          "data: d: an experiment may not run `hrm data show`. HINT: it may run");
  refused(data(""), "data: d: an experiment may not run `hrm data`");
  refused(train("--preset sudoku4 --run /any"),
          "train: an experiment may not pass --run to `hrm train`");
  refused(train("--preset sudoku4 --resume"), "train: an experiment may not pass --resume");
  refused(evaluate("arc predict --out /any"), "evaluate: test: an experiment may not pass --out");
  refused(evaluate("export /any --out /any"),
          "evaluate: test: an experiment may not run `hrm export`");
  refused(evaluate("arc farm --out /any"),
          "evaluate: test: an experiment may not run `hrm arc farm`");
  refused(evaluate("demo"), "evaluate: test: an experiment may not run `hrm demo`");
  // Also where a value brings the word in.
  refused(evaluate({{"run", "eval {x}"}, {"x", {"--run /any"}}}),
          "evaluate: test: an experiment may not pass --run");
  refused(Json{{"set", {{"--run", "/any"}}}}, "[config] unknown key '--run'");
  // Kinds with a generator are known by their row of the registry.
  refused(data("parity --json"), "data: d: an experiment may not pass --json to `hrm data parity`");
  Json generated = Json::parse(kFile);
  generated["data"] = {{"d", "parity --side 4 --count 20 --test 5 --seed 3"}};
  CHECK_NOTHROW(read_experiment(write(dir, generated.dump()), {}));
  // Numbers may be negative, and a file's name becomes a folder.
  const Path file = write(dir, kFile);
  CHECK_NOTHROW(read_experiment(file, {}));
  for (const std::string name : {"...json", "..json", "models.json", "data.json", "locks.json"}) {
    fs::copy_file(file, dir / name);
    expect_error([&] { read_experiment(dir / name, {}); }, "an experiment may not be called");
  }
}

TEST_CASE("experiment: records of one setting become a row; tables and pages hold them") {
  const std::vector<Row> rows =
      summarize({record("1", "0", 0.1, "1000"), record("1", "1", 0.3, "0000"),
                 record("4", "0", 0.9, "1110"), record("4", "1", 0.7, "1111")});
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].values.at("exact").mean == doctest::Approx(0.8));
  CHECK(rows[1].values.at("exact").count == 2);
  CHECK(rows[1].label("loops") == "4");
  CHECK(rows[1].label("seed").empty());
  CHECK(summarize({record("1", "0", 0), record("4", "0", 1)}, {"seed", "loops"}).size() == 1);
  CHECK(matches(rows[0], Json{{"loops", 1}, {"evaluation", "test"}, {"segment", nullptr}}));
  CHECK(matches(rows[0], Json{{"loops", {"2", "1"}}}));
  CHECK(!matches(rows[0], Json{{"loops", "4"}}));
  CHECK(!matches(rows[0], Json{{"evaluation", nullptr}}));

  Experiment e;
  e.title = "Loops <1>";
  e.charts = Json::parse(R"([{"title": "by loops", "x": "loops",
                              "published": {"elsewhere": {"1": 0.2, "4": 0.5}}},
                             {"x": "evaluation", "series": "loops"}])");
  e.compare = Json::parse(R"([[{"loops": 4}, {"loops": 1}]])");
  const std::string text = text_table(e, rows),
                    page = experiment_page(e, rows, "hrm lab run x", "");
  CHECK(text.find("80.0 ±") != std::string::npos);
  CHECK(text.find("of the puzzles 4 solved by more seeds, 0 by fewer, p = 0.12") !=
        std::string::npos);
  for (const std::string part : {"Loops &lt;1&gt;", "by loops", "published: elsewhere", "80.0 ±",
                                 "</i>loops 4<", "hrm lab run x", "<circle", "<polyline"}) {
    CAPTURE(part);
    CHECK(page.find(part) != std::string::npos);
  }
  e.compare = Json::parse(R"([[{"loops": 4}, {"loops": 5}]])");
  expect_error([&] { text_table(e, rows); }, "no row is {\"loops\":5}");
  e.compare = Json::parse(R"([[{"evaluation": "test"}, {"loops": 1}]])");
  expect_error([&] { text_table(e, rows); }, "several rows are");
}

TEST_CASE("experiment: a record survives its line of results") {
  const Record r = record("4", "1", 0.5, "0110");
  const Record back = record_from_json(Json::parse(Json(to_json(r)).dump()));
  CHECK(to_string(back.labels) == to_string(r.labels));
  CHECK(back.values == r.values);
  CHECK(back.solved == "0110");
}

TEST_CASE("every experiment of the project is a valid file, at both sizes") {
  const Path folder = "examples/experiments";
  if (!fs::is_directory(folder)) SKIP("no folder " << folder << " here");
  CHECK(list_experiments(folder).size() >= 11);
  for (const Path& file : list_experiments(folder))
    for (const bool full : {false, true}) {
      CAPTURE(file);
      ExperimentOptions options;
      options.full = full;
      options.arc = "ARC";
      const Experiment e = read_experiment(file, options);
      CHECK(!e.trials.empty());
      CHECK(!e.question.empty());
      for (const Trial& t : e.trials)
        for (const Judgement& j : t.judgements)
          CHECK(to_string(j.words).find('{') == to_string(j.words).find("{data:"));
    }
}

TEST_CASE("rollouts: the first is a plain evaluation; more of them let a rule choose") {
  const Trained trained(2, 40, 10, 13);
  const PuzzleDataset& test = trained.test;
  const Model& model = trained.trainer->model();
  const EvalResult plain = evaluate(model, test, {});
  REQUIRE(plain.exact_accuracy > 0.2);  // easy puzzles
  REQUIRE(plain.exact_accuracy < 1);

  RolloutOptions options;
  options.rollouts = 5;
  options.eval.noise = 1;
  const RolloutResult noisy = roll_out(model, test, options);
  CHECK(noisy.counts == std::vector<int64_t>{1, 2, 5});
  CHECK(noisy.puzzles == 40);
  const auto& verify = noisy.accuracy[static_cast<size_t>(RolloutSelection::verify)];
  for (size_t i = 0; i < noisy.counts.size(); ++i) {
    // Answers are unique here: what keeps the rules is right.
    CHECK(verify[i] == doctest::Approx(noisy.any[i]));
    for (const auto& accuracy : noisy.accuracy) CHECK(accuracy[i] <= noisy.any[i]);
  }
  CHECK(noisy.any.back() >= noisy.any.front());
  // The same seed, the same answers; another, others.
  CHECK(roll_out(model, test, options).solved == noisy.solved);

  options.eval.noise = 0;
  options.relabel = true;
  const RolloutResult renamed = roll_out(model, test, options);
  CHECK(renamed.accuracy[0][0] == doctest::Approx(plain.exact_accuracy));
  CHECK(renamed.solved[static_cast<size_t>(RolloutSelection::vote)][0] == plain.solved);
  // Another name for every digit is another input to this model, but the same puzzle.
  CHECK(renamed.any.back() > plain.exact_accuracy);
  CHECK(describe(renamed, RolloutSelection::vote).find("by vote of 5 rollouts") !=
        std::string::npos);
  const Json json = to_json(renamed);
  CHECK(json["rollouts"]["5"]["any"] == renamed.any.back());
}

TEST_CASE("evaluation: what tells a row to leave") {
  const Trained trained(3, 30, 12, 14);
  const PuzzleDataset& test = trained.test;
  Trainer& trainer = *trained.trainer;
  const auto by = [&](HaltBy rule, double threshold) {
    EvalOptions o;
    o.segments = 6;
    o.halting = true;
    o.halt_by = rule;
    o.threshold = threshold;
    return evaluate(trainer.model(), test, o);
  };
  EvalOptions all;
  all.segments = 6;
  const EvalResult fixed = evaluate(trainer.model(), test, all);
  const EvalResult oracle = by(HaltBy::oracle, 0);
  REQUIRE(fixed.exact_accuracy > 0.2);
  CHECK(fixed.mean_steps == 6);
  CHECK(oracle.exact_accuracy >= fixed.exact_accuracy);
  CHECK(oracle.exact_accuracy == doctest::Approx(fixed.exact_accuracy + fixed.lost_accuracy));
  CHECK(oracle.mean_steps < 6);
  CHECK(by(HaltBy::residual, 1e9).mean_steps == 1);
  CHECK(by(HaltBy::residual, 0).mean_steps == 6);
  CHECK(by(HaltBy::confidence, 1).mean_steps == 6);
  CHECK(by(HaltBy::confidence, 0).mean_steps == 1);
  const EvalResult repeated = by(HaltBy::repeat, 0);
  CHECK(repeated.halt_histogram[1] == 0);  // nothing stands before the first
  CHECK(repeated.mean_steps >= 2);
  CHECK(repeated.mean_steps < 6);
  CHECK(by(HaltBy::q, 1e9).mean_steps == 6);
  CHECK(by(HaltBy::q, -1e9).mean_steps == 1);
  CHECK(fixed.solved.size() == 30);
  CHECK(std::count(fixed.solved.begin(), fixed.solved.end(), '1') ==
        std::lround(30 * fixed.exact_accuracy));
}

TEST_CASE("metrics: CSV, and TensorBoard events byte by byte") {
  CHECK(crc32c("123456789") == 0xe3069283u);  // the check value of CRC-32C
  const TempDir dir;
  write_file_atomically(dir / "metrics.jsonl",
                        R"({"step":1,"samples":8,"loss":0.5,"elapsed":2.0}
{"eval":true,"step":1,"samples":8,"accuracy":0.25}
{"step":2,"sampl)");
  const MetricLines lines = read_metrics(dir.path());
  REQUIRE(lines.train.size() == 1);  // the last line was cut off
  REQUIRE(lines.eval.size() == 1);
  CHECK(metrics_csv(lines) ==
        "kind,step,samples,loss,elapsed,accuracy\ntrain,1,8,0.5,2.0,\neval,1,8,,,0.25\n");
  CHECK(curve(lines.train, "samples", "loss").at(0).y == 0.5);

  // The first record of a file: length 24, its masked checksum, wall_time and file_version.
  const std::string events = tensorboard_events(lines, 100);
  const auto u32 = [&](size_t at) {
    uint32_t v;
    std::memcpy(&v, events.data() + at, 4);
    return v;
  };
  const auto masked = [](uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8u; };
  CHECK(u32(0) == 24);
  CHECK(u32(8) == masked(crc32c(events.substr(0, 8))));
  const std::string version = events.substr(12, 24);
  CHECK(u32(36) == masked(crc32c(version)));
  CHECK(version.substr(9) ==
        "\x1a\x0d"
        "brain.Event:2");
  // Tag train/loss (field 1), simple_value 0.5 (field 2, f32).
  CHECK(events.find(std::string("\x0a\x0a"
                                "train/loss\x15\x00\x00\x00\x3f",
                                17)) != std::string::npos);
  CHECK(events.find("eval/accuracy") != std::string::npos);
  CHECK(events.find("samples") == std::string::npos);  // an axis
}

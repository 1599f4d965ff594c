// What a run folder and the laboratory's files hold, when somebody else wrote it: each value out of
// place is one line that names the file and the member, and nothing is drawn of what does not fit.
#include <cstdlib>

#include "hrm/lab/experiment_page.h"
#include "hrm/presets.h"
#include "hrm/support/text.h"
#include "hrm/tasks/arc_vote.h"
#include "hrm/tasks/registry.h"
#include "hrm/train/checkpoint.h"
#include "hrm/view/picture.h"
#include "hrm/view/puzzle_view.h"
#include "hrm/view/report.h"
#include "tests/support/support.h"

namespace hrm {
using namespace lab;
namespace {

using test::expect_error;

Json evaluation() {
  return Json::parse(R"({
    "step": 9, "count": 2, "accuracy": 0.75, "exact_accuracy": 0.5, "mean_steps": 2,
    "q_halt_accuracy": 1, "solved": "10", "exact_by_segment": [0, 0.5],
    "accuracy_by_segment": [0.5, 0.75], "halt_histogram": [0, 1, 1],
    "calibration": [{"q_mean": 0.5, "count": 2, "exact": 1}],
    "traces": [{"inputs": [2, 1, 1, 3], "labels": [2, 4, -100, 3],
                "predictions": [[2, 4, 5, 3], [2, 4, 4, 3]], "q_halt": [0.1, 0.9],
                "q_continue": [0.9, 0.1]}]})");
}

void refused(const Json& good, const char* pointer, const Json& value, const std::string& message) {
  Json bad = good;
  bad[Json::json_pointer(pointer)] = value;
  INFO(pointer);
  expect_error([&] { eval_result_from_json(bad, "e.json"); }, message);
}

TEST_CASE("evaluation.json: types, ranges and lengths are checked") {
  const Json good = evaluation();
  CHECK(eval_result_from_json(good, "e.json").traces[0].predictions.size() == 2);
  CHECK(eval_result_from_json(Json::object(), "e.json").count == 0);
  refused(good, "/count", -1, "e.json: 'count' must be a whole number in 0..");
  refused(good, "/step", 1e300, "e.json: 'step' must be a whole number in 0..");
  refused(good, "/accuracy", 1.5, "'accuracy' must be a number in 0..1, got 1.5");
  refused(good, "/solved", "1x", "'solved' must hold a 0 or a 1 for each puzzle");
  refused(good, "/exact_by_segment", {0.5}, "'accuracy_by_segment' must have 1 entries, got 2");
  refused(good, "/halt_histogram", {1, 1}, "'halt_histogram' must have 3 entries, got 2");
  refused(good, "/halt_histogram/0", "x", "'halt_histogram' must hold whole numbers");
  refused(good, "/calibration/0/exact", 3, "'exact' must be a whole number in 0..2, got 3");
  refused(good, "/calibration", 1, "'calibration' must be a list");
  refused(good, "/traces/0", 1, "e.json: trace 0 must be a JSON object");
  const Json none = Json::array();
  refused(good, "/traces/0/q_halt", none, "trace 0: 'q_halt' must have 2 entries, got 0");
  refused(good, "/traces/0/q_continue", {1}, "'q_continue' must have 2 entries, got 1");
  refused(good, "/traces/0/inputs", none, "'predictions' must have 0 entries, got 4");
  refused(good, "/traces/0/labels", {1}, "'labels' must have 4 entries, got 1");
  refused(good, "/traces/0/predictions/1", {1}, "'predictions' must have 4 entries, got 1");
  refused(good, "/traces/0/predictions/1/0", 100000000, "a prediction must hold whole numbers in");
  Json empty = good;
  empty["traces"][0]["predictions"] = none;
  refused(empty, "/traces/0/inputs", none, "trace 0: 'inputs' must have 1..1048576 entries, got 0");
  refused(good, "/exact_by_segment", std::vector<double>(100'001, 0),
          "[report] e.json: at most 100000 segments are possible, got 100001");
}

TEST_CASE("checkpoint: names of puzzle rows that are no pairs of words are refused") {
  const test::TempDir dir;
  const auto refused = [&](const Tensor& names) {
    Checkpoint checkpoint;
    checkpoint.state = Json::object();
    checkpoint.model.emplace_back("puzzle_names", names);
    write_checkpoint(dir / "c", checkpoint);
    expect_error([&] { read_checkpoint(dir / "c", true); }, "'puzzle_names' must be i32 [rows, 2]");
  };
  refused(zeros({1, 4}, DType::i32));
  refused(zeros({2}, DType::i32));
  refused(zeros({1, 2}, DType::f64));
}

TEST_CASE("report: a task that cannot be is refused, tokens without a colour are drawn plain") {
  const auto page = [](const Json& task, const Json& result) {
    const Json config = {{"task", task}, {"command", "hrm train"}};
    return report_page(config, "config.json", "run", {}, eval_result_from_json(result, "e.json"));
  };
  const auto sudoku = [](int side, int rows, int cols) {
    return Json{{"task", "sudoku"}, {"side", side}, {"box_rows", rows}, {"box_cols", cols}};
  };
  CHECK(page(sudoku(4, 2, 2), evaluation()).find("<svg viewBox") != std::string::npos);
  expect_error([&] { page(sudoku(0, 2, 2), evaluation()); },
               "'side' must be a whole number in 1..");
  expect_error([&] { page(sudoku(5, 2, 2), evaluation()); }, "side must be 4, 6 or 9, got 5");
  for (const Json& task : {sudoku(4, 1, 2), sudoku(4, 2, 1)})
    expect_error([&] { page(task, evaluation()); }, "config.json: 'task': a Sudoku of side 4");
  expect_error(
      [&] {
        page({{"task", "maze"}, {"side", -1}}, evaluation());
      },
      "'side' must be a whole number in 1..");
  expect_error([&] { page({{"task", 7}}, evaluation()); }, "'task' must be text, got 7");
  expect_error([&] { page(1, evaluation()); }, "'task' must be a JSON object, got 1");
  expect_error(
      [&] {
        report_page({{"command", 1}}, "c.json", "run", {}, {});
      },
      "c.json: 'command' must be text, got 1");

  Json result = evaluation();
  result["traces"][0]["predictions"][0][1] = 12;  // of colours 2..11
  CHECK(page({{"task", "arc"}, {"side", 2}}, result).find("not drawn") == std::string::npos);
  result["traces"][0]["inputs"] = std::vector<int>(600'000, 1);
  result["traces"][0]["labels"] = Json::array();
  for (Json& tokens : result["traces"][0]["predictions"]) tokens = result["traces"][0]["inputs"];
  const std::string large = page({{"task", "arc"}, {"side", 2}}, result);
  CHECK(large.find("are not drawn") != std::string::npos);
  CHECK(large.size() < 100'000);
}

TEST_CASE("report: cells that nothing supervises do not make a puzzle unsolved") {
  const auto task = make_task({{"task", "arc"}, {"side", 2}}, "here");
  PuzzleTrace trace;
  trace.inputs = {3, 4, 1, 0};
  trace.labels = {4, 3, -100, -100};
  CHECK(is_solved(trace, {4, 3, 9, 9}, *task));
  CHECK_FALSE(is_solved(trace, {4, 4, 9, 9}, *task));
  CHECK_FALSE(is_solved(trace, {4, 3}, *task));
  trace.labels = {-100, -100, -100, -100};
  CHECK_FALSE(is_solved(trace, {4, 3, 9, 9}, *task));
}

TEST_CASE("chart: round ticks, a logarithmic axis for what falls far, and any numbers at all") {
  const auto has = [](const Chart& chart, const char* text) {
    return chart.str().find(std::string(">") + text + "</text>") != std::string::npos;
  };
  const Chart plain = loss_chart("loss", {{{1, 1.9}, {736, 0.6}}}, "step");
  for (const char* tick : {"0", "0.5", "1", "1.5", "2"}) CHECK(has(plain, tick));
  CHECK_FALSE(has(plain, "1.9"));
  const Chart far = loss_chart("loss", {{{1, 1.9}, {736, 0.03}}}, "step");
  for (const char* tick : {"0.02", "0.05", "0.1", "0.5", "1"}) CHECK(has(far, tick));
  CHECK(has(far, "loss (logarithmic)"));
  Chart steps("x", 736, 1, "step", true);
  steps.x_ticks();
  for (const char* tick : {"200", "400", "600", "75%"}) CHECK(has(steps, tick));
  for (const double most : {0.0, 1e-300, 1.0, 1.7e308})
    for (const double least : {0.0, 1e-300, 1.0}) {
      Chart chart = loss_chart("loss", {{{0, most}, {most, least}}}, "step");
      chart.x_ticks();
      chart.line({{0, most}, {most, least}}, "train");
      CHECK(chart.str().size() < 10'000);
      INFO(chart.str());
      CHECK(chart.str().find("nan") == std::string::npos);
    }
}

TEST_CASE("pictures of grids: cells that differ from the truth are marked and counted") {
  ArcGrid grid, truth;
  grid.height = truth.height = 1;
  grid.width = truth.width = 2;
  grid.cells = {1, 2};
  truth.cells = {1, 3};
  const Sheet sheet = {{"test", {{"prediction", grid, false, truth}, {"truth", truth, true}}}};
  const std::string html = sheet_figures(sheet);
  CHECK(html.find("prediction: 1 x 2 cells, 1 wrong") != std::string::npos);
  CHECK(html.find("<circle") != std::string::npos);
  CHECK(html.find("<circle") == html.rfind("<circle"));
  CHECK(html.find("class=\"arrow\"") != std::string::npos);
  ::setenv("COLORTERM", "truecolor", 1);
  CHECK(sheet_text(sheet, true).find("48;2;0;116;217m1 ") != std::string::npos);
  ::unsetenv("COLORTERM");
  CHECK(sheet_text(sheet, true).find("48;5;32m1 ") != std::string::npos);
  CHECK(sheet_text(sheet, false).find("1 2") != std::string::npos);
}

TEST_CASE("metrics.jsonl: what is read of a line has its type; what was not finite is left out") {
  const MetricLines lines = parse_metrics(
      "{\"step\": 1, \"lm_loss\": null, \"note\": \"x\"}\n{\"eval\": true, \"step\": 1}\n{\"st",
      "m");
  REQUIRE(lines.train.size() == 1);
  REQUIRE(lines.eval.size() == 1);
  CHECK(metrics_csv(lines) == "kind,step\ntrain,1\neval,1\n");
  const auto refuses = [](const std::string& line, const std::string& message) {
    expect_error([&] { parse_metrics("{\"step\": 1}\n" + line + "\n", "m.jsonl"); }, message);
  };
  refuses("{\"step\": 1", "m.jsonl line 2 is not valid JSON");
  refuses("{\"step\": \"1\"}", "m.jsonl line 2: 'step' must be a whole number in 0..");
  refuses("{\"step\": -1}", "m.jsonl line 2: 'step' must be");
  refuses("{\"samples\": 1e300}", "m.jsonl line 2: 'samples' must be a number in 0..");
  refuses("{\"elapsed\": []}", "m.jsonl line 2: 'elapsed' must be a number");
  refuses("{\"eval\": 1}", "m.jsonl line 2: 'eval' must be true or false");
  refuses("{\"exact_accuracy\": \"all\"}", "m.jsonl line 2: 'exact_accuracy' must be a number");
}

TEST_CASE("config: a word of a megabyte is near to nothing, at once") {
  CHECK(nearest("hiden_size", {"hidden_size"}) == "hidden_size");
  const std::string word(1'000'000, 'x');
  CHECK(nearest(word, {word + "y"}).empty());
}

TEST_CASE("config.json: types and ranges are checked, and the file is named") {
  const Json good = preset("sudoku4").to_json();
  const auto refuses = [&](const char* pointer, const Json& value, const std::string& message) {
    Json bad = good;
    bad[Json::json_pointer(pointer)] = value;
    expect_error([&] { Config::from_json(bad, "c.json"); }, message);
  };
  refuses("/model", nullptr, "[json] c.json: 'model' must be a JSON object, got null");
  refuses("/model/hidden_size", 1.5, "'hidden_size' must be a whole number");
  refuses("/model/hidden_size", 18446744073709551615u, "'hidden_size' must be a whole number");
  refuses("/model/hidden_size", 0, "[config] c.json: hidden_size must be in 1..");
  refuses("/model/mlp_t", 1, "'mlp_t' must be true or false, got 1");
  refuses("/model/dtype", "f16", "[config] c.json: dtype must be one of f32");
  refuses("/model/size", 1, "[config] c.json: unknown key 'size'");
  refuses("/train/lr", "fast", "'lr' must be a number");
  refuses("/tasks", "abc", "'tasks' must be a list, got \"abc\"");
  refuses("/tasks", {1}, "'tasks' must hold names, got 1");
  refuses("/preset", 1, "'preset' must be text");
}

TEST_CASE("sizes of experiments and of metrics are bounded") {
  const auto refuses = [](const Json& json, const std::string& message) {
    expect_error([&] { parse_experiment(json, "e.json", {}); }, message);
  };
  Json many = Json::object();
  for (int i = 0; i <= 1000; ++i) many["a" + std::to_string(i)] = "";
  const Json small = {{"data", {{"m", "maze --size 5"}}}, {"train", "--preset maze10"}};
  Json json = small;
  json["evaluate"] = many;
  refuses(json, "a list or an object may have 1000 members, got 1001");
  json = small;
  for (int i = 0; i < 21; ++i)
    json["vary"].push_back({{"name", "a" + std::to_string(i)}, {"values", {1}}});
  refuses(json, "at most 20 axes are possible, got 21");
  json = small;
  json["data"]["m"] = "maze --from /dev/zero";
  refuses(json, "an experiment may read files and folders, not /dev/zero");
  // An option with an equals sign is the same as in two words.
  json = small;
  json["train"] = "--preset=sudoku4 --set=total_steps=7";
  const Experiment e = parse_experiment(json, "e.json", {});
  CHECK(asked_for(e.trials.at(0).train).first.train.total_steps == 7);
  CHECK(asked_for(e.trials.at(0).train).first.preset == "sudoku4");
  expect_error([&] { parse_metrics(many.dump() + "\n", "m.jsonl"); },
               "at most 1000 members are possible, got 1001");
}

TEST_CASE("submission.json: anything but attempts is refused") {
  const ArcGrid grid{1, 1, {3}};
  const std::vector<ArcTask> tasks = {{"t", {{grid, grid}}, {{grid, grid}}, true, "set"}};
  const auto refuses = [&](const char* text, const std::string& message) {
    expect_error([&] { judge_submission(Json::parse(text), tasks, "s.json"); }, message);
  };
  CHECK(judge_submission(Json::parse(R"({"t": [{"attempt_1": [[3]]}]})"), tasks, "s.json")[0]
            .tests[0]
            .rank == 1);
  refuses("[]", "s.json must be an object with the answers to each task");
  refuses("{}", "s.json has no answers to task t");
  refuses(R"({"t": 3})", "needs a list of as many answers, got number");
  refuses(R"({"t": [3]})", "s.json: t[0] must hold attempt_1 and attempt_2, got 3");
  refuses(R"({"t": [{"attempt_2": 3}]})", "s.json: t[0].attempt_2 must be a list of rows");
  std::vector<ArcTask> training = tasks;
  training[0].evaluated = false;
  expect_error([&] { judge_submission(Json::object(), training, "s.json"); },
               "[arc] there are no evaluated tasks to score s.json against");
}

TEST_CASE("results.jsonl: lines that cannot be read are told, the others are kept") {
  const std::string good = R"({"key": "k", "records": [{"labels": {"loops": "1"},
    "values": {"exact": 0.5, "tokens": null}, "solved": "01"}]})";
  std::string line = good;
  std::erase(line, '\n');
  std::vector<std::string> damaged;
  const std::vector<Json> lines = parse_results(
      line +
          "\n{\"key\": 1}\n{\"key\": \"\", \"records\": [{\"labels\": 1, \"values\": {}}]}\n[\n" +
          R"({"key": "j", "records": [{"labels": {}, "values": {"exact": 1e300}}]})" + "\n" + line,
      "r.jsonl", [&](const std::string& what) { damaged.push_back(what); });
  REQUIRE(lines.size() == 1);
  CHECK(record_from_json(lines[0]["records"][0]).values.size() == 1);
  REQUIRE(damaged.size() == 4);
  CHECK(damaged[0].find("r.jsonl line 2: 'key' must be text") != std::string::npos);
  CHECK(damaged[2].find("r.jsonl line 4 is not valid JSON") != std::string::npos);
}

TEST_CASE("experiment page: labels that only look like numbers are words") {
  Experiment e;
  e.charts = Json::parse(R"([{"x": "a", "y": "exact"}])");
  std::vector<Row> rows;
  for (const std::string label : {"-", "e", "1e999", "2", "10"})
    rows.push_back({{{"a", label}}, {{"exact", summarize(std::vector<double>{0.5})}}, {}});
  CHECK(experiment_page(e, rows, "x", "").find("1e999") != std::string::npos);
  e.compare = Json::parse(R"([[{"a": "2"}, {"a": "10"}]])");
  for (Row& row : rows) {
    row.values = {};
    row.solved = {"1"};
  }
  expect_error([&] { text_table(e, rows); }, "has no share of puzzles solved exactly");
}

}  // namespace
}  // namespace hrm

// Answers as a file, and the puzzles that a person names.
#include <set>

#include <nlohmann/json.hpp>

#include "hrm/cli/puzzle_text.h"
#include "hrm/data/listed_examples.h"
#include "hrm/eval/predictions.h"
#include "hrm/eval/solve_lattice.h"
#include "hrm/tasks/maze_task.h"
#include "hrm/tasks/registry.h"
#include "hrm/tasks/sudoku_task.h"
#include "hrm/tasks/tokens_task.h"
#include "hrm/view/puzzle_view.h"
#include "tests/support/local_job.h"
#include "tests/support/small_run.h"

using namespace hrm;
using namespace hrm::test;

namespace {

// Three tokens each, without rules; the label of the second is not known.
PuzzleDataset three_tokens() {
  DatasetInfo info;
  info.seq_len = 3;
  info.vocab_size = 5;
  const std::vector<Example> examples = {
      {{1, 2, 3}, {3, 2, 1}, 0}, {{4, 4, 4}, {kIgnoreLabel, kIgnoreLabel, kIgnoreLabel}, 0}};
  return PuzzleDataset(
      std::make_shared<ListedExamples>(std::make_shared<TokensTask>(), info, examples));
}

Answer answer(int64_t example, Tokens tokens, bool solved) {
  Answer a;
  a.example = example;
  a.tokens = std::move(tokens);
  a.segments = 2;
  a.exact = a.solved = solved;
  return a;
}

std::string lines_of_file(const Predictions& predictions, const Path& file) {
  predictions.write(file);
  return read_file(file);
}

// "a|b": the texts of the puzzles in a file, where `puzzles` are those that fit.
std::string puzzles_in(const std::string& file_text, const std::set<std::string>& puzzles) {
  const TempDir dir;
  write_file_atomically(dir / "p.txt", file_text);
  std::string found;
  for (const PuzzleText& puzzle :
       read_puzzles((dir / "p.txt").string(),
                    [&](const std::string& text) { return puzzles.contains(text); })) {
    const size_t line = puzzle.where.rfind("line ");
    found += (found.empty() ? "" : "|") + puzzle.text +
             (line == std::string::npos ? "" : "@" + puzzle.where.substr(line + 5));
  }
  return found;
}

}  // namespace

TEST_CASE("predictions are written in the order of the examples, in three forms") {
  const TempDir dir;
  const PuzzleDataset data = three_tokens();
  Predictions predictions(data, 3);
  predictions.add(answer(1, {0, 0, 0}, false));
  predictions.add(answer(0, {4, 4, 4}, false));
  predictions.add(answer(0, {3, 2, 1}, true));  // the same again
  CHECK(predictions.answers().size() == 2);
  CHECK(lines_of_file(predictions, dir / "p.csv") ==
        "example,puzzle,answer,solved,segments,q_halt,q_continue\n"
        "0,\"1 2 3\",\"3 2 1\",true,2,0.5,0.5\n"
        "1,\"4 4 4\",\"0 0 0\",,2,0.5,0.5\n");
  CHECK(lines_of_file(predictions, dir / "p.jsonl") ==
        "{\"example\":0,\"puzzle\":\"1 2 3\",\"answer\":\"3 2 1\",\"solved\":true,\"segments\":2,"
        "\"q_halt\":0.5,\"q_continue\":0.5}\n"
        "{\"example\":1,\"puzzle\":\"4 4 4\",\"answer\":\"0 0 0\",\"solved\":null,\"segments\":2,"
        "\"q_halt\":0.5,\"q_continue\":0.5}\n");
  predictions.write(dir / "p.npy");
  const Tensor tokens = read_npy(dir / "p.npy");
  CHECK(tokens.shape() == Shape{2, 3});
  CHECK(tokens.to_vector() == std::vector<double>{3, 2, 1, 0, 0, 0});
  expect_error([&] { predictions.write(dir / "p.txt"); }, "must end in .jsonl, .csv or .npy");
}

TEST_CASE("predictions of a lattice count rounds, and a logit that is no number is null") {
  const PuzzleDataset data = three_tokens();
  const Answer a = answer(0, {3, 2, 1}, true);
  CHECK(Predictions(data, 3, true).to_json(a).dump() ==
        "{\"example\":0,\"puzzle\":\"1 2 3\",\"answer\":\"3 2 1\",\"solved\":true,\"rounds\":2}");
  Answer lost = a;
  lost.q_halt = std::nan("");
  CHECK(Predictions(data, 3).to_json(lost)["q_halt"].is_null());
}

TEST_CASE("ranks: an evaluation tells every rank of all answers, in order") {
  const SmallRun s;
  const auto trainer = s.trainer("answers");
  const auto told = [&](const Communicator& ranks) {
    Predictions predictions(*s.test, 16);
    int64_t next = 0;
    bool in_order = true;
    EvalOptions options;
    options.batch_size = 4;
    options.ranks = ranks;
    options.on_answer = [&](const Answer& a) {
      in_order &= a.example == next++;
      predictions.add(a);
    };
    evaluate(trainer->model(), *s.test, options);
    CHECK(in_order);
    Json all = Json::array();
    for (const Answer& a : predictions.answers()) all.push_back(predictions.to_json(a));
    return all.dump();
  };
  const std::string alone = told(Communicator());
  CHECK(Json::parse(alone).size() == 30);
  for (const std::string& error :
       run_ranks(3, [&](Communicator ranks) { CHECK(told(ranks) == alone); }))
    CHECK(error == "");
}

TEST_CASE("a puzzle that is shown tells where the rule would have halted first") {
  const SmallRun s;
  const auto trainer = s.trainer("halts");
  const Tokens puzzle = s.test->read(0).inputs;
  EvalOptions options;
  options.threshold = -1e9;  // the rule says halt after every segment
  PuzzleTrace trace = solve_one(trainer->model(), puzzle, 0, options);
  CHECK(trace.predictions.size() == 3);
  CHECK(trace.halts_at == 1);
  options.halting = true;
  CHECK(solve_one(trainer->model(), puzzle, 0, options).predictions.size() == 1);
  options.threshold = 1e9;
  trace = solve_one(trainer->model(), puzzle, 0, options);
  CHECK(trace.predictions.size() == 3);
  CHECK(trace.halts_at == 0);
}

TEST_CASE("a file of puzzles: what fits decides how it is read") {
  const std::set<std::string> fit = {"abcd", "ab\ncd", "#bcd", "a#cd", "efgh"};
  CHECK(puzzles_in("abcd\n", fit) == "abcd");
  CHECK(puzzles_in("abcd\nefgh\n", fit) == "abcd@1|efgh@2");
  CHECK(puzzles_in("\nabcd\r\n\r\nefgh", fit) == "abcd@2|efgh@4");
  CHECK(puzzles_in("ab\ncd\n\nab\ncd\n", fit) == "ab\ncd@1|ab\ncd@4");
  CHECK(puzzles_in("ab\ncd", fit) == "ab\ncd");
  // A comment, unless puzzles have that character.
  CHECK(puzzles_in("# two\nabcd\n#bcd\n", fit) == "abcd");
  CHECK(puzzles_in("#bcd\na#cd\n# no\n", fit) == "#bcd@1|a#cd@2|# no@3");
  CHECK(puzzles_in("# one\nab\ncd\n", fit) == "ab\ncd");
  CHECK(puzzles_in("# two\nab\ncd\n \n# the second\nab\ncd\n", fit) == "ab\ncd@2|ab\ncd@6");
  CHECK(puzzles_in("abcd\n\nefgh\nabcd\n", fit) == "abcd@1|efgh@3|abcd@4");
  CHECK(puzzles_in("id,puzzle\n1,abcd\n\n2,\"efgh\"\n", fit) == "abcd@2|efgh@4");
  CHECK(puzzles_in("source,question\n1,abcd\n2,none\n", fit) == "abcd@2|none@3");
  CHECK(puzzles_in("question\nabcd\nefgh\n", fit) == "abcd@2|efgh@3");
  expect_error([&] { puzzles_in("question\n", fit); }, "holds the names of columns and no puzzle");
  // A quote where none may stand: no CSV.
  CHECK(puzzles_in("{\"a\", 1}\n", fit) == "{\"a\", 1}\n");
  // Nothing fits: the parser of the whole will say why.
  CHECK(puzzles_in("xy\nz\n", fit) == "xy\nz\n");
}

TEST_CASE("grids: a given that was overwritten is wrong, and both sides of the rule are shown") {
  PuzzleTrace trace;
  trace.inputs = {1, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  trace.labels = std::vector<int>(16, 3);
  trace.predictions = {trace.labels};
  trace.predictions[0][1] = 5;
  trace.q_halt = {0.25};
  trace.q_continue = {0.75};
  const SudokuTask task(SudokuRules::of_side(4));
  const std::string rest = trace_text(trace, task, false);
  CHECK(rest.find("[4]") != std::string::npos);
  CHECK(rest.find("go on") == std::string::npos);  // it is the rest to 1
  trace.q_continue = {0.6};
  CHECK(trace_text(trace, task, false).find(" go on 60.0%") != std::string::npos);
  trace.predictions[0][1] = 1;  // left open, which is no answer either
  CHECK(trace_text(trace, task, false).find("[.]") != std::string::npos);
  trace.predictions[0][1] = 5;
  trace.labels.clear();  // a given is one also where the answer is not known
  CHECK(trace_text(trace, task, false).find("[4]") != std::string::npos);
  // The puzzle itself has no wrong cells, whatever the answer is.
  const auto signs = make_task({{"task", "parity"}, {"side", 2}}, "here");
  trace = {};
  trace.inputs = trace.labels = {1, 2, 3, 1};
  trace.labels[0] = 2;
  trace.predictions = {trace.labels};
  trace.q_halt = trace.q_continue = {0.5};
  CHECK(trace_text(trace, *signs, false).find('[') == std::string::npos);
  const MazeTask maze(2);
  trace = {};
  trace.inputs = {2, 3, 4, 5};
  trace.predictions = {trace.inputs};
  trace.q_halt = {0.5};
  trace.q_continue = {0.1};
  CHECK(trace_text(trace, maze, false).find("halt 50.0 %, go on 10.0 %") != std::string::npos);
}

TEST_CASE("a run and its data set are found when they are moved together") {
  const TempDir dir;
  fs::create_directories(dir / "a" / "run");
  fs::create_directories(dir / "a" / "data");
  Json config = preset("sudoku4").to_json();
  config["data"] = (dir / "a" / "data").string();
  config["data_beside"] = "../data";
  write_file_atomically(dir / "a" / "run" / "config.json", config.dump());
  const auto found = [&](const char* where) {
    return fs::weakly_canonical(read_config(dir / where / "run").data);
  };
  CHECK(found("a") == fs::weakly_canonical(dir / "a" / "data"));
  fs::rename(dir / "a", dir / "b");
  CHECK(found("b") == fs::weakly_canonical(dir / "b" / "data"));
  fs::create_directory_symlink(dir / "b" / "run", dir / "link");
  CHECK(fs::weakly_canonical(read_config(dir / "link").data) ==
        fs::weakly_canonical(dir / "b" / "data"));
  // Where it was goes before where it lies now.
  fs::create_directories(dir / "a" / "data");
  CHECK(found("b") == fs::weakly_canonical(dir / "a" / "data"));
  fs::remove_all(dir / "a");
  fs::remove_all(dir / "b" / "data");
  CHECK(found("b") == (dir / "a" / "data"));  // an error will name it
}

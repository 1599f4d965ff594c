// Sudoku, data sets, the sampler, the terminal's grids and progress lines.
#include <set>

#include "hrm/data/sampler.h"
#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/tasks/sudoku_task.h"
#include "hrm/tasks/tokens.h"
#include "hrm/view/puzzle_view.h"
#include "tests/support/support.h"
#include "tests/support/tiny.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

namespace {

const char* kEasy =
    "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79";

std::vector<std::vector<int32_t>> rows_of(const PuzzleDataset& data) {
  std::vector<std::vector<int32_t>> rows;
  for (int64_t i = 0; i < data.num_examples(); ++i) {
    const Example example = data.read(i);
    std::vector<int32_t> row = example.inputs;
    row.insert(row.end(), example.labels.begin(), example.labels.end());
    row.push_back(example.puzzle_id);
    rows.push_back(row);
  }
  return rows;
}

}  // namespace

TEST_CASE("sudoku: parse, solve, check") {
  SudokuRules rules;
  const Grid puzzle = parse_sudoku(kEasy, &rules);
  CHECK(rules.side == 9);
  CHECK(format_sudoku(puzzle) == kEasy);
  const SudokuSolution s = solve_sudoku(rules, puzzle);
  CHECK(s.count == 1);
  CHECK(format_sudoku(s.grid).substr(0, 9) == "534678912");
  CHECK(check_solution(rules, puzzle, s.grid) == "");
  Grid wrong = s.grid;
  std::swap(wrong[2], wrong[3]);
  CHECK(check_solution(rules, puzzle, wrong).find("holds") != std::string::npos);
  wrong = s.grid;
  wrong[0] = 1;
  CHECK(check_solution(rules, puzzle, wrong) == "cell (1, 1) changes a given");
  CHECK(solve_sudoku(rules, Grid(81, 0)).count == 2);
  Grid dead(81, 0);
  dead[0] = dead[1] = 5;
  CHECK(solve_sudoku(rules, dead).count == 0);
  expect_error([&] { parse_sudoku("123", &rules); }, "must have 16, 36 or 81 characters, got 3");
  expect_error([&] { parse_sudoku("12345...........", &rules); },
               "character 5 must be '.', '0' or a digit 1-4, got '5'");
  expect_error([] { SudokuRules::of_side(5); }, "side must be 4, 6 or 9");
}

TEST_CASE("sudoku: generated puzzles have one solution; minimal ones nothing to spare") {
  for (const int side : {4, 6, 9}) {
    const int64_t count = side == 9 ? 20 : 60;
    SudokuBuild build = tiny_sudoku(side, count, count / 5);
    for (const SudokuPuzzle& p : generate_sudoku(build)) {
      const SudokuSolution s = solve_sudoku(build.rules, p.puzzle);
      CHECK(s.count == 1);
      CHECK(s.grid == p.solution);
      CHECK(check_solution(build.rules, p.puzzle, p.solution) == "");
    }
  }
  SudokuBuild build = tiny_sudoku(9, 3, 0);
  build.minimal = true;
  for (const SudokuPuzzle& p : generate_sudoku(build))
    for (int i = 0; i < 81; ++i)
      if (p.puzzle[i]) {
        Grid fewer = p.puzzle;
        fewer[i] = 0;
        CHECK(solve_sudoku(build.rules, fewer).count == 2);
      }
}

TEST_CASE("sudoku: symmetric copies share a class, and stay puzzles") {
  Random random(3);
  for (const int side : {4, 6, 9}) {
    const SudokuBuild build = tiny_sudoku(side, 10, 2);
    std::set<std::string> classes;
    for (const SudokuPuzzle& p : generate_sudoku(build)) {
      const std::string name = symmetry_class(build.rules, p.puzzle, p.solution);
      classes.insert(name);
      for (int i = 0; i < 5; ++i) {
        const SudokuTransform t = SudokuTransform::draw(build.rules, random);
        const Grid puzzle = t.apply(p.puzzle), solution = t.apply(p.solution);
        CHECK(check_solution(build.rules, puzzle, solution) == "");
        CHECK(symmetry_class(build.rules, puzzle, solution) == name);
      }
    }
    CHECK(classes.size() > 5);
  }
}

TEST_CASE("sudoku: the split keeps classes apart and meets its wishes") {
  const TempDir dir;
  SudokuBuild build = tiny_sudoku(4, 3000, 600);
  build.test_count = 200;
  build.test_classes = 100;
  const BuildSummary s = build_sudoku(build, dir / "d");
  CHECK(s.test == 200);
  CHECK(s.test_classes >= 100);
  const PuzzleDataset train = open_dataset(dir / "d", "train");
  const PuzzleDataset test = open_dataset(dir / "d", "test");
  CHECK(train.num_examples() == s.train);
  const SudokuRules rules = build.rules;
  const auto classes = [&](const PuzzleDataset& data) {
    std::set<std::string> found;
    for (const auto& row : rows_of(data))
      found.insert(symmetry_class(rules, from_tokens({row.begin(), row.begin() + 16}),
                                  from_tokens({row.begin() + 16, row.begin() + 32})));
    return found;
  };
  const auto a = classes(train), b = classes(test);
  CHECK(b.size() >= 100);
  for (const std::string& name : b) CHECK_FALSE(a.contains(name));
  expect_error([&] { build_sudoku(build, dir / "d"); }, "exists already. HINT: --replace");
  build.replace = true;
  build_sudoku(build, dir / "d");
  build.count = 1000000000;
  build.givens_low = build.givens_high = 16;
  build.count = 400;
  expect_error([&] { generate_sudoku(build); }, "different puzzles found. HINT");
}

TEST_CASE("sudoku files: text and CSV, errors name the line") {
  const SudokuRules rules = SudokuRules::of_side(9);
  const std::string answer = format_sudoku(parse_sudoku_file(kEasy, "f", rules)[0].solution);
  const std::string header = "source,question,answer,rating\n";
  CHECK(parse_sudoku_file(header + "x," + kEasy + "," + answer + ",3\n", "f", rules).size() == 1);
  const auto fails = [&](const std::string& text, const char* message) {
    expect_error([&] { parse_sudoku_file(text, "f", rules); }, message);
  };
  fails("", "f holds no puzzles");
  fails(std::string(kEasy) + "\n123\n", "must have 16, 36 or 81 characters, got 3 (f line 2)");
  fails(std::string(81, '.'), "several solutions (f line 1)");
  fails("55" + std::string(79, '.'), "no solution (f line 1)");
  fails("1234341221434321", "the puzzle is 4x4, the data set 9x9");
  fails("a,b\n1,2\n", "has no 'question'");
  fails(header + "x," + kEasy + "\n", "must have 4 columns, got 2");
  fails(header + "x," + kEasy + "," + kEasy + ",3\n", "the answer is not the puzzle's solution");
}

TEST_CASE("real puzzles: the hardest have one solution, the bad ones are refused") {
  const Path folder = data_dir() / "sudoku";
  if (!fs::exists(folder / "forum_hardest_train.txt")) SKIP("no puzzles in " << folder);
  const SudokuRules rules = SudokuRules::of_side(9);
  const auto puzzles = read_sudoku({folder / "forum_hardest_train.txt"}, rules, 200);
  CHECK(puzzles.size() == 200);
  double guesses = 0;
  for (const SudokuPuzzle& p : puzzles) guesses += static_cast<double>(p.rating);
  CHECK(guesses / 200 > 20);
  expect_error([&] { read_sudoku({folder / "not_unique.txt"}, rules); }, "several solutions");
}

TEST_CASE("data sets: what was written is read, what is damaged is refused") {
  const TempDir dir;
  build_sudoku(tiny_sudoku(4, 100, 20), dir / "d");
  const PuzzleDataset data = open_dataset(dir / "d", "train");
  CHECK(data.task().cells() == 16);
  CHECK(data.num_groups() == data.num_examples());
  const auto fails = [&](const char* message) {
    expect_error([&] { open_dataset(dir / "d", "train"); }, message);
  };
  expect_error([&] { open_dataset(dir / "none", "train"); }, "is not a data set");
  const Path train = dir / "d" / "train";
  const std::string good = read_file(train / "all__inputs.npy");
  write_text(train / "all__inputs.npy", good.substr(0, good.size() - 5));
  fails("needs");
  write_text(train / "all__inputs.npy", good.substr(0, good.size() - 1) + '\x7f');
  fails("holds token 127, vocab_size is 6");
  write_text(train / "all__inputs.npy", good);
  write_npy(train / "all__puzzle_indices.npy", from_vector<int32_t>({0, 5, 3}, {3}));
  fails("must ascend from 0 to");
  write_npy(train / "all__puzzle_indices.npy", arange(data.num_examples() + 1));
  write_npy(train / "all__puzzle_identifiers.npy", full({data.num_examples()}, 7, DType::i32));
  fails("num_puzzle_identifiers is 1");
  write_text(train / "dataset.json", "{\"seq_len\": 16");
  fails("is not valid JSON");
  write_text(train / "dataset.json", "{\"seq_len\": 16}");
  fails("needs a member 'vocab_size'");
}

TEST_CASE("the official ARC data set loads, and labels of its ignore id are not supervised") {
  const Path folder = reference_dir() / "official_dataset_arc";
  if (!fs::exists(folder / "train" / "dataset.json")) SKIP("no data set in " << folder);
  const PuzzleDataset data = open_dataset(folder, "train");
  CHECK(data.info().seq_len == 900);
  CHECK(data.info().num_puzzle_identifiers == 421);
  CHECK(data.num_examples() == 1554);
  CHECK(data.num_puzzles() == 420);
  CHECK(data.num_groups() == 20);
  const Tokens labels = data.read(7).labels;
  CHECK(std::count(labels.begin(), labels.end(), kIgnoreLabel) > 0);
  CHECK(std::count(labels.begin(), labels.end(), 0) == 0);
  // An epoch takes one puzzle of each group, with all its examples.
  TrainSampler sampler(data, 1, nullptr);
  const Batch batch = sampler.next(64);
  CHECK(batch.rows == 64);
  CHECK(sampler.epoch() <= 1);
}

TEST_CASE("the sampler repeats from its state, covers an epoch, and augments") {
  const TempDir dir;
  build_sudoku(tiny_sudoku(4, 200, 40), dir / "d");
  const PuzzleDataset data = open_dataset(dir / "d", "train");
  TrainSampler plain(data, 3, nullptr);
  std::set<std::vector<double>> seen;
  const int64_t n = data.num_examples();
  for (int64_t i = 0; i < n; ++i) seen.insert(plain.next(1).inputs.to_vector());
  CHECK(static_cast<int64_t>(seen.size()) == n);
  CHECK(plain.epoch() == 0);
  plain.next(1);
  CHECK(plain.epoch() == 1);

  TrainSampler a(data, 4, data.task().augmentation());
  a.next(33);
  const nlohmann::json state = nlohmann::json::parse(a.state().dump());
  TrainSampler b(data, 4, data.task().augmentation());
  b.restore(state);
  for (const int64_t rows : {5, 0, 200, 1})
    CHECK(a.next(rows).inputs.to_vector() == b.next(rows).inputs.to_vector());
  const Batch batch = a.next(50);
  const SudokuRules rules = SudokuRules::of_side(4);
  for (int64_t r = 0; r < 50; ++r) {
    const auto in = batch.inputs.slice(0, r, r + 1).to_vector();
    const auto out = batch.labels.slice(0, r, r + 1).to_vector();
    CHECK(check_solution(rules, from_tokens({in.begin(), in.end()}),
                         from_tokens({out.begin(), out.end()})) == "");
  }
  nlohmann::json bad = state;
  bad["pending"] = {1000000};
  expect_error([&] { b.restore(bad); }, "does not fit this data set");
}

TEST_CASE("the last evaluation batch is padded") {
  const TempDir dir;
  build_sudoku(tiny_sudoku(4, 50, 10), dir / "d");
  const PuzzleDataset data = open_dataset(dir / "d", "test");
  const Batch batch = eval_batch(data, data.num_examples() - 2, 5);
  CHECK(batch.rows == 2);
  CHECK(batch.inputs.slice(0, 2, 3).to_vector() == std::vector<double>(16, 0));
  CHECK(batch.labels.slice(0, 4, 5).to_vector() == std::vector<double>(16, kIgnoreLabel));
}

TEST_CASE("an own task from a CSV of tokens") {
  const TempDir dir;
  const auto build = [&](const std::string& text) {
    return build_tokens_text(text, "t.csv", dir / "t", true);
  };
  const BuildSummary s =
      build("inputs,labels,split,puzzle\n1 2 3,3 2 -100,train,a\n4 5 6,6 5 4,test,b\n");
  CHECK(s.train == 1);
  CHECK(s.test == 1);
  const PuzzleDataset data = open_dataset(dir / "t", "train");
  CHECK(data.info().vocab_size == 7);
  CHECK(data.info().num_puzzle_identifiers == 3);
  CHECK(rows_of(data)[0] == std::vector<int32_t>{1, 2, 3, 3, 2, kIgnoreLabel, 1});
  const auto fails = [&](const std::string& text, const char* message) {
    expect_error([&] { build(text); }, message);
  };
  fails("inputs,labels\n", "must have a header and at least one row");
  fails("inputs,outputs\n1,1\n", "must name a column 'labels'");
  fails("inputs,labels\n1 2,1 2\n1 2,1\n", "t.csv line 3: all rows must have 2 inputs");
  fails("inputs,labels\n1 x,1 2\n", "tokens must be whole numbers");
  fails("inputs,labels\n-1 1,1 1\n", "input token -1 must be in");
  fails("inputs,labels\n1 2,1 -5\n",
        "[tokens] t.csv line 2: label -5 must be in 0..16777215 or -100");
  fails("inputs,labels,split\n1,1,valid\n", "split must be train or test, got 'valid'");
  fails("inputs,labels\n1,1,1\n", "must have 2 columns, got 3");
}

TEST_CASE("grids mark wrong cells with and without colour") {
  PuzzleTrace trace;
  trace.inputs = {1, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  trace.labels = std::vector<int>(16, 2);
  trace.predictions = {std::vector<int>(16, 2)};
  trace.predictions[0][0] = 5;
  trace.q_halt = {0.42};
  const SudokuTask task(SudokuRules::of_side(4));
  const std::string plain = trace_text(trace, task, false);
  const std::string colour = trace_text(trace, task, true);
  CHECK(plain.find("[4]") != std::string::npos);
  CHECK(plain.find("halt 42.0%") != std::string::npos);
  CHECK(plain.find('\033') == std::string::npos);
  CHECK(colour.find("\033[31m4") != std::string::npos);
  CHECK(colour.find("\033[1m2") != std::string::npos);
}

TEST_CASE("durations, sizes and counts read well; no bar without a terminal") {
  CHECK(format_duration(3.24) == "3.2 s");
  CHECK(format_duration(192) == "3 min 12 s");
  CHECK(format_duration(7260) == "2 h 1 min");
  CHECK(format_bytes(1536) == "1.5 KiB");
  CHECK(format_count(1234567) == "1,234,567");
  CHECK(format_count(-999) == "-999");
  const TempDir dir;
  std::FILE* file = std::fopen((dir / "log").c_str(), "w");
  {
    Progress progress("train", "samples", 10, 0, file);
    progress.update(5, "loss 1");
    progress.update(10);
  }
  std::fclose(file);
  const std::string log = read_file(dir / "log");
  CHECK(log.find('\r') == std::string::npos);
  CHECK(log.find("train 100 %  loss 1") == 0);
}

TEST_CASE("fields of a CSV line may be quoted") {
  using Fields = std::vector<std::string>;
  CHECK(csv_fields("a,,b", "here") == Fields{"a", "", "b"});
  CHECK(csv_fields("", "here") == Fields{""});
  CHECK(csv_fields(R"("1 2","a,b","say ""hi""",)", "here") ==
        Fields{"1 2", "a,b", "say \"hi\"", ""});
  CHECK(csv_fields(R"("",x)", "here") == Fields{"", "x"});
  expect_error([] { csv_fields("\"a", "line 3"); }, "line 3: a quoted field has no closing quote");
  expect_error([] { csv_fields("\"a\"b", "line 3"); }, "a comma must follow the closing quote");
  expect_error([] { csv_fields("a\"b\"", "line 3"); }, "only stand at the start of a field");
}

TEST_CASE("a data set that cannot be stored is refused before it is made") {
  const TempDir dir;
  check_size(1000, 81, dir / "d", "fewer");
  expect_error([&] { check_size(3e9, 81, dir / "d", "fewer"); },
               "holds at most 2147483647 examples, not 3000000000. HINT: fewer");
  const double too_many = free_disk_bytes(dir.path()) / 2 / (1 << 20) + 1e6;
  if (too_many < 2e9)
    expect_error([&] { check_size(too_many, 1 << 20, dir / "d", "fewer"); }, "TiB of disk");
  SudokuBuild build = tiny_sudoku(4, 1000, 200);
  build.augment = 1 << 30;
  expect_error([&] { build_sudoku(build, dir / "d"); }, "HINT: a smaller --count or --augment");
  CHECK_FALSE(fs::exists(dir / "d"));
  CHECK_FALSE(fs::exists(dir / "d.tmp"));
}

TEST_CASE("what a killed build left is removed, and what it was replacing comes back") {
  const TempDir dir;
  build_sudoku(tiny_sudoku(4, 50, 10), dir / "d");
  // Killed between the two renames of the end: the old one is away, the new one not yet here.
  fs::create_directories(dir / "d.tmp" / "new" / "train");
  fs::rename(dir / "d", dir / "d.tmp" / "old");
  expect_error([&] { build_sudoku(tiny_sudoku(4, 60, 12), dir / "d"); },
               "exists already. HINT: --replace");
  CHECK(open_dataset(dir / "d", "test").num_examples() == 10);
  CHECK_FALSE(fs::exists(dir / "d.tmp"));
}

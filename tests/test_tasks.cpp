// Kinds of puzzles: what every one of the registry promises, and the queens.
#include <algorithm>
#include <bit>
#include <set>

#include "hrm/eval/evaluate.h"
#include "hrm/eval/rollouts.h"
#include "hrm/presets.h"
#include "hrm/tasks/generated.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/registry.h"
#include "hrm/view/puzzle_view.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

// An example of each kind, with an answer that is right where the kind has rules.
struct KindCase {
  Json json;
  int64_t vocab_size;
  std::string puzzle, answer;  // as text; empty: the kind has none
};
const std::vector<KindCase>& cases() {
  static const std::vector<KindCase> all = {
      {{{"task", "sudoku"}, {"side", 4}, {"box_rows", 2}, {"box_cols", 2}},
       6,
       "12.434..21..43.1",
       ""},
      {{{"task", "maze"}, {"side", 3}}, 6, "S #  ## G", ""},
      {{{"task", "n_queens"}, {"side", 4}}, 3, "..Q.............", "..Q.Q......Q.Q.."},
      {{{"task", "parity"}, {"side", 3}}, 4, "+o..+o+..", "++++oo+++"},
      {{{"task", "arc"}, {"side", 3}}, 12, "", ""},
      {{{"task", "tokens"}}, 5, "", ""},
  };
  return all;
}

std::shared_ptr<const Task> queens(int side) {
  return make_task({{"task", "n_queens"}, {"side", side}}, "here");
}

const TaskKind& queens_kind() {
  return *std::ranges::find(task_kinds(), std::string("n_queens"), &TaskKind::name);
}

}  // namespace

TEST_CASE("every kind of the registry has a case here, and comes back from its JSON") {
  std::set<std::string> tested;
  for (const KindCase& c : cases()) {
    const auto task = make_task(c.json, "here");
    CAPTURE(task->kind());
    tested.insert(task->kind());
    CHECK(task->to_json() == c.json);
    const int64_t cells = task->cells() ? task->cells() : 7;
    CHECK(task->fits(cells, c.vocab_size));
    if (task->cells()) {
      CHECK_FALSE(task->fits(cells + 1, c.vocab_size));
      CHECK_FALSE(task->fits(cells, c.vocab_size + 1));
    }
    for (int32_t token = 0; token < c.vocab_size; ++token) task->look(token);
  }
  for (const TaskKind& kind : task_kinds()) CHECK(tested.contains(kind.name));
  CHECK(unknown_task()->kind() == "");
  expect_error(
      [] {
        make_task({{"task", "chess"}}, "t.json");
      },
      "[data] t.json: unknown task 'chess'. HINT: known are sudoku");
  expect_error([] { make_task({{"task", "n_queens"}, {"side", 3}}, "t.json"); }, "t.json: 'side'");
}

TEST_CASE("every kind that is written as text reads, solves and checks its puzzles") {
  for (const KindCase& c : cases()) {
    const auto task = make_task(c.json, "here");
    CAPTURE(task->kind());
    if (c.puzzle.empty()) {
      if (task->drawing() != Drawing::numbers)
        expect_error([&] { task->parse("1234"); }, "cannot be written as text");
      expect_error([&] { task->solution({1}); }, "has no rules to solve a puzzle by");
      expect_error([&] { task->check({1}, {1}); }, "has no rules to check an answer by");
      continue;
    }
    CHECK(task_of_text(c.puzzle, *unknown_task())->to_json() == c.json);
    const Tokens puzzle = task->parse(c.puzzle);
    // A task takes puzzles of its own size alone.
    Json larger = c.json;
    larger["side"] = 6;
    if (larger.contains("box_cols")) larger["box_cols"] = 3;
    expect_error([&] { make_task(larger, "here")->parse(c.puzzle); }, "has 36 cells, got ");
    CHECK(task->text(puzzle) == c.puzzle);
    CHECK(task->check(puzzle, task->solution(puzzle)) == "");
    CHECK(task->check(puzzle, puzzle) != "");
    if (!c.answer.empty()) CHECK(task->check(puzzle, task->parse(c.answer)) == "");
    // Symmetric copies of a puzzle have symmetric answers, and are of one class where there are
    // classes.
    Random random(1);
    for (int i = 0; i < 20 && task->symmetries(); ++i) {
      Tokens inputs = puzzle, labels = task->solution(puzzle);
      task->augmentation()(inputs.data(), labels.data(), i == 0, random);
      CHECK(task->check(inputs, labels) == "");
      // Candidates go with their cell.
      const Symmetry symmetry = task->symmetries()(random);
      Tokens copy = puzzle;
      symmetry.apply(copy.data());
      for (size_t cell = 0; cell < copy.size(); ++cell)
        CHECK(std::popcount(task->candidates(copy[cell])) ==
              std::popcount(task->candidates(puzzle[symmetry.source[cell]])));
    }
    const Tokens answer = task->solution(puzzle);
    for (size_t cell = 0; cell < puzzle.size() && task->candidates(puzzle[cell]); ++cell)
      CHECK((task->candidates(puzzle[cell]) >> answer[cell] & 1) == 1);
  }
}

TEST_CASE("tokens are written as numbers, also where they look like a Sudoku") {
  const auto tokens = make_task({{"task", "tokens"}}, "here");
  CHECK(tokens->parse(" 3 1,2\r\n40 ") == Tokens{3, 1, 2, 40});
  CHECK(tokens->parse("").empty());
  CHECK(tokens->text(tokens->parse("3,1")) == "3 1");
  for (const char* text : {"1 x", "1 -2", "1.5", "99999999999"})
    expect_error([&] { tokens->parse(text); }, "must be a whole number of at least 0");
  const std::string sixteen = "1 2 3 4 3 4 1 2 2 1 4 3 4 3 2 0";
  CHECK(task_of_text(sixteen, *tokens)->kind() == "tokens");
  CHECK(task_of_text(sixteen, *unknown_task())->kind() == "sudoku");
}

TEST_CASE("parity: every cell says whether the number of +1 up to it is odd") {
  const auto task = make_task({{"task", "parity"}, {"side", 3}}, "here");
  const auto solved = [&](const char* board) {
    return task->text(task->solution(task->parse(board)));
  };
  CHECK(solved("+oooooooo") == "+++++++++");
  CHECK(solved("+o.+.....") == "+++oooooo");
  CHECK(solved("ooooooooo") == "ooooooooo");
  const Tokens board = task->parse("+o.\n...\r\n.++\n");
  CHECK(task->check(board, task->parse("+++++++o+")) == "");
  CHECK(task->check(board, task->parse("+++++++++")) ==
        "cell 8 must be 'o': the number of +1 up to it is 2");
  expect_error([&] { task->parse("+o.x....."); }, "cell 4 must be '+', 'o' or '.', got x");
  expect_error([&] { task->parse("+o."); }, "a board of side 3 has 9 cells, got 3");
  expect_error([] { make_task({{"task", "parity"}, {"side", 1}}, "t.json"); }, "t.json: 'side'");
  // A board of dots alone may be another puzzle's.
  CHECK(task_of_text("................", *unknown_task())->kind() != "parity");
  CHECK(task_of_text("+...............", *unknown_task())->kind() == "parity");
}

TEST_CASE("parity: generated boards of every size, half of them odd") {
  const Generator generator =
      *std::ranges::find(task_kinds(), std::string("parity"), &TaskKind::name)->generator;
  Random random(2);
  for (const int side : {generator.smallest, 3, generator.largest}) {
    const auto task = generator.task(side);
    int odd = 0;
    constexpr int kBoards = 200;
    for (int i = 0; i < kBoards; ++i) {
      const Generator::Puzzle puzzle = generator.draw(side, random);
      CHECK(task->check(puzzle.inputs, puzzle.labels) == "");
      odd += task->text(puzzle.labels).back() == '+';
    }
    CHECK(odd > kBoards / 4);
    CHECK(odd < kBoards * 3 / 4);
  }
}

TEST_CASE("queens: what is wrong with a board is said") {
  const auto task = queens(4);
  const Tokens open = task->parse("................");
  const auto check = [&](const char* board) { return task->check(open, task->parse(board)); };
  CHECK(check(".Q.....QQ.....Q.") == "");
  CHECK(check("..Q.Q......Q.Q..") == "");  // the other answer
  CHECK(check(".Q.....QQ.......") == "there are 3 queens, not 4");
  CHECK(check(".Q..Q...........") == "the queens at (1, 2) and (2, 1) attack each other");
  CHECK(check("Q...Q...........") == "the queens at (1, 1) and (2, 1) attack each other");
  CHECK(check("QQ..............") == "the queens at (1, 1) and (1, 2) attack each other");
  CHECK(task->check(task->parse("Q..............."), task->parse(".Q.....QQ.....Q.")) ==
        "the given queen at (1, 1) is gone");
  CHECK(task->text(task->solution(task->parse("..Q............."))) == "..Q.Q......Q.Q..");
  expect_error([&] { task->solution(task->parse("Q...............")); }, "has no solution");
  expect_error([&] { task->solution(task->parse("QQ..............")); }, "has no solution");
  expect_error([&] { task->parse("..x............."); }, "cell 3 must be '.' or 'Q', got x");
  expect_error([&] { task->parse("..Q"); }, "a board of side 4 has 16 cells, got 3");
  CHECK(task->parse("....\n....\r\n....\n....\n") == open);
}

TEST_CASE("queens: a symmetric copy is of the same class, another board is not") {
  const auto task = queens(6);
  Random random(3);
  const Generator generator = *queens_kind().generator;
  std::set<std::string> classes;
  for (int i = 0; i < 50; ++i) {
    auto [inputs, labels] = generator.draw(6, random);
    CHECK(task->check(inputs, labels) == "");
    CHECK(task->check(inputs, inputs) != "");
    const std::string before = task->symmetry_class(inputs, labels);
    classes.insert(before);
    task->augmentation()(inputs.data(), labels.data(), false, random);
    CHECK(task->symmetry_class(inputs, labels) == before);
  }
  CHECK(classes.size() > 5);
}

TEST_CASE("generated data keeps symmetric puzzles on one side, and is the same for a seed") {
  const TempDir dir;
  const Generator generator = *queens_kind().generator;
  GeneratedBuild build;
  build.count = 200;
  build.test_count = 40;
  const BuildSummary summary = build_generated(generator, build, dir / "a");
  CHECK(summary.test == 40);
  CHECK(summary.train + summary.test + summary.dropped == 200);
  build_generated(generator, build, dir / "b");
  const PuzzleDataset train = open_dataset(dir / "a", "train");
  const PuzzleDataset test = open_dataset(dir / "a", "test");
  CHECK(train.task().kind() == "n_queens");
  CHECK(train.identity() == open_dataset(dir / "b", "train").identity());
  std::set<std::string> trained;
  for (int64_t i = 0; i < train.num_examples(); ++i) {
    const Example e = train.read(i);
    CHECK(train.task().check(e.inputs, e.labels) == "");
    trained.insert(train.task().symmetry_class(e.inputs, e.labels));
  }
  for (int64_t i = 0; i < test.num_examples(); ++i) {
    const Example e = test.read(i);
    CHECK_FALSE(trained.contains(test.task().symmetry_class(e.inputs, e.labels)));
  }
  build.test_count = 200;
  expect_error([&] { build_generated(generator, build, dir / "c"); },
               "all 200 puzzles would be needed for the test split");
  build.count = 1'000'000;
  build.side = 6;
  expect_error([&] { build_generated(generator, build, dir / "c"); }, "different puzzles found");
  CHECK_FALSE(std::filesystem::exists(dir / "c"));
}

TEST_CASE("queens: an evaluation asks the rules, rollouts choose by them") {
  const TempDir dir;
  const Generator generator = *queens_kind().generator;
  GeneratedBuild build;
  build.count = 60;
  build.test_count = 20;
  build_generated(generator, build, dir / "d");
  const PuzzleDataset test = open_dataset(dir / "d", "test");
  Config config = preset("queens8");
  config.model.hidden_size = config.model.puzzle_emb_ndim = 16;
  config.model.num_heads = 2;
  config.model.num_puzzle_identifiers = test.info().num_puzzle_identifiers;
  Random random(1);
  const Model model(config.model, &random);
  const EvalResult result = evaluate(model, test, {});
  REQUIRE(result.valid_accuracy);
  CHECK(*result.valid_accuracy >= result.exact_accuracy);
  check_rollouts({}, RolloutSelection::verify, test.task());
  RolloutOptions relabel;
  relabel.relabel = true;
  expect_error([&] { check_rollouts(relabel, RolloutSelection::q, test.task()); },
               "gives other names to the digits of Sudoku; this data set is n_queens");
}

TEST_CASE("another right answer than the stored one is drawn as solved") {
  const auto task = queens(4);
  PuzzleTrace trace;
  trace.inputs = task->parse("................");
  trace.labels = task->parse("..Q.Q......Q.Q..");
  trace.predictions = {task->parse(".Q.....QQ.....Q."), task->parse("QQQQ............")};
  trace.q_halt = trace.q_continue = {0.5, 0.5};
  CHECK(is_solved(trace, trace.labels, *task));
  CHECK(is_solved(trace, trace.predictions[0], *task));
  CHECK_FALSE(is_solved(trace, trace.predictions[1], *task));
  CHECK(grid_svg(trace, trace.predictions[0], *task).find("wrong") == std::string::npos);
  CHECK(grid_svg(trace, trace.predictions[1], *task).find("wrong") != std::string::npos);
  // A trace from a damaged file may have another size.
  PuzzleTrace damaged = trace;
  damaged.inputs = {1};
  damaged.labels.clear();
  damaged.predictions = {{1}};
  expect_error([&] { trace_text(damaged, *task, false); }, "has 16 cells, got 1");
  trace.inputs.resize(9);
  CHECK_FALSE(is_solved(trace, Tokens(9, 2), *task));
}

// The Sudoku solver, generator and symmetries against independent counts and published numbers.
#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "hrm/tasks/sudoku.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/tasks/sudoku_task.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

namespace {

bool fits(const SudokuRules& rules, const Grid& grid, int cell, int digit) {
  const int n = rules.side, r = cell / n, c = cell % n;
  for (int i = 0; i < n * n; ++i) {
    const bool seen = i / n == r || i % n == c || rules.box_of(i / n, i % n) == rules.box_of(r, c);
    if (i != cell && seen && grid[i] == digit) return false;
  }
  return true;
}

// All solutions up to `limit`, the slow and obvious way: cell by cell, no masks, no order.
void brute_force(const SudokuRules& rules, Grid& grid, size_t limit, std::vector<Grid>* found) {
  const auto blank = std::find(grid.begin(), grid.end(), 0);
  if (blank == grid.end()) return found->push_back(grid);
  const int cell = static_cast<int>(blank - grid.begin());
  for (int digit = 1; digit <= rules.side && found->size() < limit; ++digit)
    if (fits(rules, grid, cell, digit)) {
      grid[cell] = digit;
      brute_force(rules, grid, limit, found);
      grid[cell] = 0;
    }
}

int count_givens(const Grid& puzzle) {
  return static_cast<int>(puzzle.size() - std::count(puzzle.begin(), puzzle.end(), 0));
}

SudokuBuild generator(int side, int64_t count) {
  SudokuBuild build;
  build.rules = SudokuRules::of_side(side);
  build.count = count;
  return build;
}

std::vector<std::string> some_lines(const Path& file, int64_t step, int64_t count) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  std::string line;
  for (int64_t i = 0; std::ssize(lines) < count && std::getline(in, line); ++i)
    if (i % step == 0) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("sudoku: the solver counts solutions as brute force does, up to its limit") {
  Random random(11);
  for (const int side : {4, 6}) {
    const SudokuRules rules = SudokuRules::of_side(side);
    std::map<int, int> tally;
    for (int trial = 0; trial < 300; ++trial) {
      Grid puzzle = random_solution(rules, random);
      const int64_t holes = side == 4 ? 8 + random.below(8) : 14 + random.below(12);
      for (int64_t i = 0; i < holes; ++i) puzzle[random.below(rules.cells())] = 0;
      if (trial % 4 == 0) puzzle[random.below(rules.cells())] = 1 + trial / 4 % side;  // may clash
      // Givens that clash are no puzzle: the obvious way would not notice them.
      bool clash = false;
      for (int i = 0; i < rules.cells(); ++i)
        clash |= puzzle[i] && !fits(rules, puzzle, i, puzzle[i]);
      std::vector<Grid> found;
      Grid scratch = puzzle;
      if (!clash) brute_force(rules, scratch, 5, &found);
      for (const int limit : {1, 2, 5}) {
        const SudokuSolution s = solve_sudoku(rules, puzzle, limit);
        REQUIRE(s.count == std::min<int>(limit, static_cast<int>(found.size())));
        if (s.count == 0) continue;
        CHECK(check_solution(rules, puzzle, s.grid) == "");
        if (found.size() < 5)  // then it is all of them
          CHECK(std::find(found.begin(), found.end(), s.grid) != found.end());
      }
      ++tally[std::min<int>(2, static_cast<int>(found.size()))];
    }
    CHECK(tally[0] > 10);
    CHECK(tally[1] > 10);
    CHECK(tally[2] > 10);
  }
}

TEST_CASE("sudoku: no guesses where singles do, several where they do not") {
  SudokuRules rules;
  const char* easy =
      "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79";
  CHECK(solve_sudoku(rules, parse_sudoku(easy, &rules)).guesses == 0);
  // Two cells of row 1 and two of row 3 that can be 1 2 and 2 1 or the other way round: both digits
  // are tried in one of them, singles do the rest.
  rules = SudokuRules::of_side(4);
  const Grid two = parse_sudoku("..343412..434321", &rules);
  CHECK(solve_sudoku(rules, two).count == 2);
  CHECK(solve_sudoku(rules, two).guesses == 2);
  CHECK(solve_sudoku(rules, two, 1).guesses == 1);
}

TEST_CASE("sudoku: published counts of grids and classes up to symmetry") {
  // 288 grids of 4x4 in 2 classes; 6x6 (boxes 2x3) has 49 classes. A smaller group would give more
  // classes, a form that is not canonical too, one that confuses puzzles fewer.
  const SudokuRules four = SudokuRules::of_side(4), six = SudokuRules::of_side(6);
  std::vector<Grid> grids;
  Grid blank(16, 0);
  brute_force(four, blank, 1000, &grids);
  CHECK(grids.size() == 288);
  std::set<std::string> classes;
  for (const Grid& g : grids) classes.insert(symmetry_class(four, g, g));
  CHECK(classes.size() == 2);

  Random random(5);
  classes.clear();
  for (int i = 0; i < 4000; ++i) {
    const Grid g = random_solution(six, random);
    classes.insert(symmetry_class(six, g, g));
  }
  CHECK(classes.size() == 49);

  // The fewest givens of a 4x4 puzzle are 4, in 13 classes.
  SudokuBuild build = generator(4, 5000);
  build.minimal = true;
  classes.clear();
  for (const SudokuPuzzle& p : generate_sudoku(build)) {
    CHECK(count_givens(p.puzzle) >= 4);
    if (count_givens(p.puzzle) == 4) classes.insert(symmetry_class(four, p.puzzle, p.solution));
  }
  CHECK(classes.size() == 13);
}

TEST_CASE("sudoku: the random grids reach every 4x4 grid") {
  const SudokuRules rules = SudokuRules::of_side(4);
  Random random(2);
  std::map<Grid, int> seen;
  for (int i = 0; i < 288 * 50; ++i) ++seen[random_solution(rules, random)];
  CHECK(seen.size() == 288);
}

TEST_CASE("sudoku: the canonical form is itself a puzzle of its class") {
  Random random(9);
  for (const int side : {4, 6})
    for (const SudokuPuzzle& p : generate_sudoku(generator(side, 20))) {
      SudokuRules rules = SudokuRules::of_side(side);
      const std::string name = symmetry_class(rules, p.puzzle, p.solution);
      const Grid canonical = parse_sudoku(name, &rules);
      const SudokuSolution s = solve_sudoku(rules, canonical);
      CHECK(s.count == 1);
      CHECK(count_givens(canonical) == count_givens(p.puzzle));
      CHECK(symmetry_class(rules, canonical, s.grid) == name);
    }
}

TEST_CASE("sudoku: transforms cover the group evenly, and transpose square boxes alone") {
  // 4x4: 128 moves of cells, half of them transposed, and 24 relabellings.
  Random random(4);
  std::map<std::vector<int>, int> sources, digits;
  constexpr int kDraws = 12800;
  int transposed = 0;
  for (int i = 0; i < kDraws; ++i) {
    const SudokuTransform t = SudokuTransform::draw(SudokuRules::of_side(4), random);
    ++sources[t.source];
    ++digits[t.digit];
    transposed += t.source[0] / 4 != t.source[1] / 4;  // neighbours in a row came from a column
  }
  CHECK(sources.size() == 128);
  CHECK(digits.size() == 24);
  for (const auto& [source, count] : sources) CHECK((count > 50 && count < 150));
  CHECK(std::abs(transposed - kDraws / 2) < 300);

  std::set<std::vector<int>> six;
  for (int i = 0; i < 40000; ++i) {
    const SudokuTransform t = SudokuTransform::draw(SudokuRules::of_side(6), random);
    six.insert(t.source);
    REQUIRE(t.source[0] / 6 == t.source[5] / 6);
  }
  CHECK(six.size() == 3456);
}

TEST_CASE("sudoku: tokens move with their digits; blanks and padding stay") {
  Random random(8);
  for (const int side : {4, 6, 9}) {
    const SudokuRules rules = SudokuRules::of_side(side);
    const SudokuPuzzle p = generate_sudoku(generator(side, 1))[0];
    Random same = random;
    const SudokuTransform t = SudokuTransform::draw(rules, random);
    const Symmetry symmetry = SudokuTask(rules).symmetries()(same);
    std::vector<int> tokens = to_tokens(p.puzzle);
    CHECK(*std::min_element(tokens.begin(), tokens.end()) == 1);
    CHECK(from_tokens(tokens) == p.puzzle);
    symmetry.apply(tokens.data());
    CHECK(tokens == to_tokens(t.apply(p.puzzle)));
    std::vector<int32_t> padding(rules.cells(), 0);
    symmetry.apply(padding.data());
    CHECK(padding == std::vector<int32_t>(rules.cells(), 0));
  }
}

TEST_CASE("sudoku: the generator keeps to its range of givens, its seed and its rating") {
  SudokuBuild build = generator(4, 400);
  build.givens_low = 5;
  build.givens_high = 8;
  build.seed = 3;
  const std::vector<SudokuPuzzle> puzzles = generate_sudoku(build);
  std::set<int> givens;
  std::set<Grid> different;
  for (const SudokuPuzzle& p : puzzles) {
    givens.insert(count_givens(p.puzzle));
    different.insert(p.puzzle);
  }
  CHECK(givens == std::set<int>{5, 6, 7, 8});
  CHECK(different.size() == 400);
  CHECK(generate_sudoku(build)[399].puzzle == puzzles[399].puzzle);
  build.seed = 4;
  CHECK(generate_sudoku(build)[0].puzzle != puzzles[0].puzzle);

  build = generator(9, 5);
  build.minimal = true;
  build.min_rating = 3;
  for (const SudokuPuzzle& p : generate_sudoku(build)) {
    CHECK(p.rating >= 3);
    CHECK(solve_sudoku(build.rules, p.puzzle).guesses == p.rating);
  }
  build = generator(4, 10);
  build.min_rating = 100;
  expect_error([&] { generate_sudoku(build); },
               "only 0 of 10 different puzzles found. HINT: a smaller --count, a wider range of "
               "--givens or a lower --min-rating");
  build = generator(4, 10);
  build.givens_low = 9;
  build.givens_high = 7;
  expect_error([&] { generate_sudoku(build); }, "givens must be a range LOW-HIGH within 0-16");
}

TEST_CASE("sudoku: a wrong character is named on one line whatever it is") {
  SudokuRules rules;
  const std::string rest(15, '.');
  expect_error([&] { parse_sudoku("\n" + rest, &rules); },
               "character 1 must be '.', '0' or a "
               "digit 1-4, got byte 10");
  expect_error([&] { parse_sudoku(rest + '\xff', &rules); }, "character 16 must");
  expect_error([&] { parse_sudoku(rest + '\xff', &rules); }, "got byte 255");
  expect_error([&] { parse_sudoku("7" + std::string(35, '.'), &rules); }, "digit 1-6, got '7'");
}

TEST_CASE("sudoku: what is wrong with a grid is said") {
  const SudokuRules rules = SudokuRules::of_side(6);
  const SudokuPuzzle p = generate_sudoku(generator(6, 1))[0];
  const Grid none(36, 0);
  Grid wrong = p.solution;
  wrong[7] = 0;
  CHECK(check_solution(rules, none, wrong) == "cell (2, 2) holds no digit");
  wrong[7] = 7;
  CHECK(check_solution(rules, none, wrong) == "cell (2, 2) holds no digit");
  // Rows swapped across bands: rows and columns stay right, boxes do not.
  wrong = p.solution;
  std::swap_ranges(wrong.begin() + 6, wrong.begin() + 12, wrong.begin() + 12);
  CHECK(check_solution(rules, none, wrong).starts_with("box 1 holds "));
  // Columns swapped across stacks in one row only.
  wrong = p.solution;
  std::swap(wrong[0], wrong[1]);
  CHECK(check_solution(rules, none, wrong).starts_with("column 1 holds "));
}

TEST_CASE("real puzzles: samples of every list, each with one solution or refused") {
  const Path folder = data_dir() / "sudoku";
  if (!fs::exists(folder / "17_clue.txt")) SKIP("no puzzles in " << folder);
  std::set<std::string> classes;
  size_t puzzles = 0;
  for (const char* file : {"17_clue.txt", "forum_hardest_train.txt", "magictour_top1465.txt"})
    for (const std::string& line : some_lines(folder / file, 11, 100)) {
      SudokuRules read;
      const Grid puzzle = parse_sudoku(line, &read);
      const SudokuSolution s = solve_sudoku(read, puzzle);
      CHECK(s.count == 1);
      CHECK(check_solution(read, puzzle, s.grid) == "");
      classes.insert(symmetry_class(read, puzzle, s.grid));
      ++puzzles;
    }
  CHECK(puzzles == 300);
  CHECK(classes.size() == puzzles);  // different puzzles, different classes
  for (const std::string& line : some_lines(folder / "not_unique.txt", 50, 200))
    expect_error([&] { parse_sudoku_file(line, "f", SudokuRules::of_side(9)); },
                 "the puzzle has several solutions (f line 1)");
}

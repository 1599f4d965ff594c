// Any text as a list of Sudoku puzzles of each side, as a CSV of tokens, as a maze and as a CSV of
// mazes. Tokens go to a folder that cannot exist, so that nothing is written and a table without
// faults ends in an error too.
#include "hrm/tasks/maze.h"
#include "hrm/tasks/sudoku_file.h"
#include "hrm/tasks/tokens.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

namespace {

void puzzles(const std::string& text, int side) {
  const SudokuRules rules = SudokuRules::of_side(side);
  fuzz::try_to([&] {
    for (const SudokuPuzzle& p : parse_sudoku_file(text, "fuzz", rules)) {
      fuzz::must(check_solution(rules, p.puzzle, p.solution).empty());
      fuzz::must(!symmetry_class(rules, p.puzzle, p.solution).empty());
    }
  });
}

}  // namespace

void fuzz_one(const std::string& input) {
  for (const int side : {4, 6, 9}) {
    puzzles(input, side);
    puzzles("source,question,answer,rating\n" + input, side);
  }
  fuzz::try_to([&] { build_tokens_text(input, "fuzz", "/dev/null/none", false); });
  fuzz::try_to([&] {
    build_tokens_text("inputs,labels,split,puzzle\n" + input, "fuzz", "/dev/null/none", false);
  });
  fuzz::try_to([&] {
    const Maze maze = parse_maze(input);
    const MazePath path = solve_maze(maze);
    if (path.length > 0) fuzz::must(check_maze(maze, path.answer).empty());
    fuzz::must(parse_maze(format_maze(maze)).cells == maze.cells);
  });
  fuzz::try_to([&] { parse_maze_csv(input, "fuzz"); });
  fuzz::try_to([&] { parse_maze_csv("source,question,answer,rating\n" + input, "fuzz"); });
}

// Lists of Sudoku puzzles: one puzzle a line, or CSV with the header
// source,question,answer,rating (the form of Sudoku-Extreme); or the training puzzles of a data
// set.
//
//     for (const SudokuPuzzle& p : read_sudoku({"mine.csv"}, SudokuRules::of_side(9)))
//       show(p.rating);
#pragma once

#include <string>
#include <vector>

#include "hrm/support/progress.h"
#include "hrm/tasks/sudoku.h"
#include "tensor/io.h"

namespace hrm {

struct SudokuPuzzle {
  Grid puzzle, solution;
  int64_t rating = 0;  // guesses of our solver
  std::string symmetry;
};

// The puzzles of files, and the training puzzles of data set folders (of each symmetric copies only
// the first), each with its one solution; the first `most` of every source, or all (0). Errors name
// the file and the line: a puzzle of another side, without a solution, with several, or with an
// answer that is not its solution.
std::vector<SudokuPuzzle> read_sudoku(const std::vector<Path>& sources, const SudokuRules& rules,
                                      int64_t most = 0, const ProgressCallback& on_progress = {});
// The test puzzles of data sets, as read_sudoku.
std::vector<SudokuPuzzle> read_sudoku_tests(const std::vector<Path>& folders,
                                            const SudokuRules& rules);
// The puzzles of one file in memory, as read_sudoku; errors name `name`.
std::vector<SudokuPuzzle> parse_sudoku_file(const std::string& text, const std::string& name,
                                            const SudokuRules& rules);

}  // namespace hrm

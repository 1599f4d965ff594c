// Making data sets of Sudoku puzzles, generated or imported.
//
//     SudokuBuild build;
//     build.rules = SudokuRules::of_side(4);
//     const BuildSummary summary = build_sudoku(build, "data/sudoku4");
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hrm/data/dataset_writer.h"
#include "hrm/tasks/sudoku_file.h"

namespace hrm {

struct SudokuBuild {
  SudokuRules rules;
  // Where puzzles come from: files and data sets (read_sudoku), or, if empty, the generator.
  std::vector<Path> from;
  // Data sets: puzzles that are symmetric to one of their test puzzles are left out.
  std::vector<Path> without;
  int64_t count = 10000;  // puzzles to generate, or the most to take of each source (0: all)
  int givens_low = 0, givens_high = 0;  // of generated puzzles, drawn uniformly; 0: by side
  bool minimal = false;                 // remove digits until none can go
  int64_t min_rating = 0;
  int64_t subsample_train = 0;  // keep so many training puzzles, drawn at random; 0: all
  // The test split takes whole symmetry classes until it has this many puzzles from at least
  // test_classes classes; then surplus puzzles of a class are dropped.
  int64_t test_count = 1000, test_classes = 1;
  // Symmetric copies stored per training puzzle (they can also be drawn on the fly).
  int64_t augment = 0;
  uint64_t seed = 0;
  bool replace = false;
  ProgressCallback on_progress;
  ProgressCallback on_write;  // of examples, if there are copies to store
};

// What to do about a data set that is too large, for check_size.
inline constexpr const char* kSmallerSudoku =
    "a smaller --count or --augment (training draws copies on the fly)";
// As many different puzzles as `build` asks for, each with one solution.
std::vector<SudokuPuzzle> generate_sudoku(const SudokuBuild& build);
// Builds the data set in `out`.
BuildSummary build_sudoku(const SudokuBuild& build, const Path& out);

}  // namespace hrm

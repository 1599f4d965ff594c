// Making data sets: Sudoku generated or imported, and own tasks from a CSV of tokens.
#pragma once

#include "hrm/data/dataset_writer.h"
#include "hrm/data/sudoku.h"

namespace hrm {

using ProgressCallback = std::function<void(int64_t done, int64_t total)>;

struct Line {
  int64_t number;  // from 1
  std::string_view text;
};
// Lines of `text`, as views of it, without their ends; empty ones and those that start with '#' are
// left out.
std::vector<Line> lines_of(const std::string& text);
std::vector<std::string_view> split(std::string_view line, char separator);
// The fields of a CSV line: separated by commas, and quoted ("a, ""b""") where they hold one.
// Errors name `where`.
std::vector<std::string> csv_fields(std::string_view line, const std::string& where);
// The text of a file; "-" and pipes such as /dev/stdin are read to their end.
std::string read_input(const Path& path);
// What errors call it.
std::string input_name(const Path& path);
// An Error unless so many examples of seq_len tokens can be stored in `out`.
void check_size(double examples, int64_t seq_len, const Path& out);

struct SudokuPuzzle {
  Grid puzzle, solution;
  int64_t rating = 0;  // guesses of our solver
  std::string symmetry;
};

struct SudokuBuild {
  SudokuRules rules;
  // Where puzzles come from: a file (one puzzle a line, or CSV source,question,answer,rating), or,
  // if empty, the generator.
  Path from;
  int64_t count = 10000;                // puzzles to generate, or the most to import (0: all)
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

struct BuildSummary {
  int64_t train = 0, test = 0;  // examples
  int64_t train_classes = 0, test_classes = 0;
  double mean_rating = 0;
  int64_t dropped = 0;  // duplicates, below min_rating, surplus of test classes, or
                        // left out by subsample_train
};

// Reads, or generates, the puzzles of `build`, checking that each has one solution.
std::vector<SudokuPuzzle> read_sudoku_file(const SudokuBuild& build);
std::vector<SudokuPuzzle> generate_sudoku(const SudokuBuild& build);
// The same from memory, for tests and fuzzing: `text` as in the file.
std::vector<SudokuPuzzle> parse_sudoku_file(const std::string& text, const SudokuBuild& build,
                                            const std::string& name);

// Builds the data set in `out`.
BuildSummary build_sudoku(const SudokuBuild& build, const Path& out);

// An own task. CSV with a header that names the columns: `inputs` and `labels` (tokens separated by
// blanks, all rows of one length; a label of -100 is not supervised), optional `split` (train or
// test; train if absent) and `puzzle` (a name: rows of one name share an embedding).
BuildSummary build_tokens(const Path& csv, const Path& out, bool replace);
BuildSummary build_tokens_text(const std::string& text, const std::string& name, const Path& out,
                               bool replace);

}  // namespace hrm

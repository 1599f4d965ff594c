#include "hrm/tasks/sudoku_file.h"

#include <algorithm>

#include "hrm/support/input.h"
#include "hrm/support/text.h"

namespace hrm {
namespace {

// Solves a puzzle of a file; errors name the line.
SudokuPuzzle checked_puzzle(std::string_view text, const SudokuRules& wanted,
                            const std::string& where) {
  SudokuPuzzle p;
  SudokuRules rules;
  try {
    p.puzzle = parse_sudoku(text, &rules);
  } catch (const Error& error) {
    detail::fail(error.what(), " (", where, ")");
  }
  HRM_CHECK(rules.side == wanted.side, "[sudoku] the puzzle is ", rules.side, "x", rules.side,
            ", the data set ", wanted.side, "x", wanted.side, " (", where, "). HINT: --side ",
            rules.side);
  const SudokuSolution s = solve_sudoku(rules, p.puzzle);
  HRM_CHECK(s.count == 1, "[sudoku] the puzzle has ",
            s.count == 0 ? "no solution" : "several solutions", " (", where,
            "). HINT: puzzles must have exactly one");
  p.solution = s.grid;
  p.rating = s.guesses;
  return p;
}

}  // namespace

std::vector<SudokuPuzzle> parse_sudoku_file(const std::string& text, const std::string& name,
                                            const SudokuRules& rules, int64_t most,
                                            const ProgressCallback& on_progress) {
  std::vector<Line> lines = lines_of(text);
  HRM_CHECK(!lines.empty(), "[sudoku] ", name, " holds no puzzles");
  // A CSV is recognised by its header.
  size_t question = 0, answer = 0;
  const bool csv = lines[0].text.find(',') != std::string_view::npos;
  const std::vector<std::string> header =
      csv_fields(lines[0].text, name + " line " + std::to_string(lines[0].number));
  if (csv) {
    const auto column = [&](std::string_view wanted) {
      const auto at = std::ranges::find(header, wanted);
      HRM_CHECK(at != header.end(), "[sudoku] ", name, " line ", lines[0].number,
                " must be the header source,question,answer,rating, but has no '", wanted, "'");
      return static_cast<size_t>(at - header.begin());
    };
    question = column("question");
    answer = column("answer");
    lines.erase(lines.begin());
  }
  std::vector<SudokuPuzzle> puzzles;
  int64_t total = std::ssize(lines);
  if (most > 0) total = std::min(total, most);
  for (int64_t i = 0; i < total; ++i) {
    const std::string where = name + " line " + std::to_string(lines[i].number);
    const std::vector<std::string> fields = csv_fields(lines[i].text, where);
    HRM_CHECK(!csv || fields.size() == header.size(), "[sudoku] ", where, " must have ",
              header.size(), " columns, got ", fields.size());
    puzzles.push_back(checked_puzzle(csv ? fields[question] : lines[i].text, rules, where));
    HRM_CHECK(!csv || format_sudoku(puzzles.back().solution) == fields[answer],
              "[sudoku] the answer is not the puzzle's solution (", where, ")");
    if (on_progress) on_progress(i + 1, total);
  }
  return puzzles;
}

std::vector<SudokuPuzzle> read_sudoku_file(const Path& file, const SudokuRules& rules, int64_t most,
                                           const ProgressCallback& on_progress) {
  return parse_sudoku_file(read_input(file), input_name(file), rules, most, on_progress);
}

}  // namespace hrm

#include "hrm/tasks/sudoku_file.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "hrm/support/input.h"
#include "hrm/support/text.h"
#include "hrm/tasks/open_dataset.h"

namespace hrm {
namespace {

// A puzzle as it was found; errors name `where`.
struct Found {
  std::string puzzle, where;
  std::optional<std::string> answer;
};

SudokuPuzzle solved(const Found& found, const SudokuRules& wanted) {
  SudokuPuzzle p;
  SudokuRules rules;
  try {
    p.puzzle = parse_sudoku(found.puzzle, &rules);
  } catch (const Error& error) {
    detail::fail(error.what(), " (", found.where, ")");
  }
  HRM_CHECK(rules.side == wanted.side, "[sudoku] the puzzle is ", rules.side, "x", rules.side,
            ", the data set ", wanted.side, "x", wanted.side, " (", found.where, "). HINT: --side ",
            rules.side);
  const SudokuSolution s = solve_sudoku(rules, p.puzzle);
  HRM_CHECK(s.count == 1, "[sudoku] the puzzle has ",
            s.count == 0 ? "no solution" : "several solutions", " (", found.where,
            "). HINT: puzzles must have exactly one");
  HRM_CHECK(!found.answer || format_sudoku(s.grid) == *found.answer,
            "[sudoku] the answer is not the puzzle's solution (", found.where, ")");
  p.solution = s.grid;
  p.rating = s.guesses;
  return p;
}

std::vector<SudokuPuzzle> solved(const std::vector<Found>& found, const SudokuRules& rules,
                                 const ProgressCallback& on_progress) {
  std::vector<SudokuPuzzle> puzzles;
  for (const Found& f : found) {
    puzzles.push_back(solved(f, rules));
    if (on_progress) on_progress(std::ssize(puzzles), std::ssize(found));
  }
  return puzzles;
}

std::vector<Found> puzzles_of_text(const std::string& text, const std::string& name, int64_t most) {
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
  if (most > 0) lines.resize(std::min<size_t>(lines.size(), most));
  std::vector<Found> found;
  found.reserve(lines.size());
  for (const Line& line : lines) {
    const std::string where = name + " line " + std::to_string(line.number);
    if (!csv) {
      found.push_back({std::string(line.text), where, {}});
      continue;
    }
    const std::vector<std::string> fields = csv_fields(line.text, where);
    HRM_CHECK(fields.size() == header.size(), "[sudoku] ", where, " must have ", header.size(),
              " columns, got ", fields.size());
    found.push_back({fields[question], where, fields[answer]});
  }
  return found;
}

// The first puzzle of every group: the others are copies of it.
std::vector<Found> puzzles_of_dataset(const Path& folder, int64_t most) {
  const PuzzleDataset data = open_dataset(folder, "train");
  HRM_CHECK(data.task().kind() == "sudoku", "[sudoku] ", folder.string(),
            " is not a data set of Sudoku puzzles. HINT: one that `hrm data sudoku` made");
  const int64_t groups = most > 0 ? std::min(most, data.num_groups()) : data.num_groups();
  std::vector<Found> found;
  found.reserve(groups);
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t example = data.puzzle(data.group(g).first).first;
    const Example e = data.read(example);
    found.push_back({format_sudoku(from_tokens(e.inputs)),
                     folder.string() + " example " + std::to_string(example),
                     format_sudoku(from_tokens(e.labels))});
  }
  return found;
}

}  // namespace

std::vector<SudokuPuzzle> parse_sudoku_file(const std::string& text, const std::string& name,
                                            const SudokuRules& rules) {
  return solved(puzzles_of_text(text, name, 0), rules, {});
}

std::vector<SudokuPuzzle> read_sudoku(const std::vector<Path>& sources, const SudokuRules& rules,
                                      int64_t most, const ProgressCallback& on_progress) {
  std::vector<Found> found;
  for (const Path& source : sources) {
    std::vector<Found> more = std::filesystem::is_directory(source)
                                  ? puzzles_of_dataset(source, most)
                                  : puzzles_of_text(read_input(source), input_name(source), most);
    std::ranges::move(more, std::back_inserter(found));
  }
  return solved(found, rules, on_progress);
}

}  // namespace hrm

#include "hrm/tasks/sudoku_file.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "hrm/support/input.h"
#include "hrm/support/text.h"
#include "hrm/tasks/open_dataset.h"

namespace hrm {
namespace {

// A puzzle as it was found.
struct Found {
  std::string puzzle;
  std::optional<std::string> answer;
  int64_t number;  // of its line, or of its example
};

// Files, and splits of data sets.
struct Source {
  std::string name, unit;  // "mine.txt", "line"
  std::vector<Found> puzzles;
};

SudokuPuzzle solved(const Found& found, const SudokuRules& wanted, const Source& source) {
  const auto where = [&] {
    return source.name + " " + source.unit + " " + std::to_string(found.number);
  };
  SudokuPuzzle p;
  SudokuRules rules;
  try {
    p.puzzle = parse_sudoku(found.puzzle, &rules);
  } catch (const Error& error) {
    detail::fail(error.what(), " (", where(), ")");
  }
  HRM_CHECK(rules.side == wanted.side, "[sudoku] the puzzle is ", rules.side, "x", rules.side,
            ", the data set ", wanted.side, "x", wanted.side, " (", where(), "). HINT: --side ",
            rules.side);
  const SudokuSolution s = solve_sudoku(rules, p.puzzle);
  HRM_CHECK(s.count == 1, "[sudoku] the puzzle has ",
            s.count == 0 ? "no solution" : "several solutions", " (", where(),
            "). HINT: puzzles must have exactly one");
  HRM_CHECK(!found.answer || format_sudoku(s.grid) == *found.answer,
            "[sudoku] the answer is not the puzzle's solution (", where(), ")");
  p.solution = s.grid;
  p.rating = s.guesses;
  return p;
}

std::vector<SudokuPuzzle> solved(std::vector<Source> sources, const SudokuRules& rules,
                                 const ProgressCallback& on_progress) {
  int64_t total = 0;
  for (const Source& source : sources) total += std::ssize(source.puzzles);
  std::vector<SudokuPuzzle> puzzles;
  puzzles.reserve(total);
  for (Source& source : sources) {
    for (const Found& found : source.puzzles) {
      puzzles.push_back(solved(found, rules, source));
      if (on_progress) on_progress(std::ssize(puzzles), total);
    }
    source.puzzles = {};
  }
  return puzzles;
}

Source read_text(const std::string& text, const std::string& name, int64_t most) {
  std::vector<Line> lines = lines_of(text);
  HRM_CHECK(!lines.empty(), "[sudoku] ", name, " holds no puzzles");
  const auto where = [&](const Line& line) {
    return name + " line " + std::to_string(line.number);
  };
  // A CSV is recognised by its header.
  size_t question = 0, answer = 0;
  const bool csv = lines[0].text.find(',') != std::string_view::npos;
  const std::vector<std::string> header = csv_fields(lines[0].text, where(lines[0]));
  if (csv) {
    const auto column = [&](std::string_view wanted) {
      const auto at = std::ranges::find(header, wanted);
      HRM_CHECK(at != header.end(), "[sudoku] ", where(lines[0]),
                " must be the header source,question,answer,rating, but has no '", wanted, "'");
      return static_cast<size_t>(at - header.begin());
    };
    question = column("question");
    answer = column("answer");
    lines.erase(lines.begin());
  }
  if (most > 0) lines.resize(std::min<size_t>(lines.size(), most));
  Source source = {name, "line", {}};
  source.puzzles.reserve(lines.size());
  for (const Line& line : lines) {
    if (!csv) {
      source.puzzles.push_back({std::string(line.text), {}, line.number});
      continue;
    }
    const std::vector<std::string> fields = csv_fields(line.text, where(line));
    HRM_CHECK(fields.size() == header.size(), "[sudoku] ", where(line), " must have ",
              header.size(), " columns, got ", fields.size());
    source.puzzles.push_back({fields[question], fields[answer], line.number});
  }
  return source;
}

// The puzzles of a data set; `copies`: all of a group, not only the first, of which the others are
// copies.
Source read_dataset(const Path& folder, const std::string& split, bool copies, int64_t most) {
  const PuzzleDataset data = open_dataset(folder, split);
  HRM_CHECK(data.task().kind() == "sudoku", "[sudoku] ", folder.string(),
            " is not a data set of Sudoku puzzles. HINT: one that `hrm data sudoku` made");
  Source source = {folder.string(), "example", {}};
  const auto full = [&] { return most > 0 && std::ssize(source.puzzles) == most; };
  for (int64_t group = 0; group < data.num_groups(); ++group) {
    const auto [first, last] = data.group(group);
    if (first == last) continue;
    const int64_t begin = data.puzzle(first).first;
    int64_t end = data.puzzle(last - 1).second;
    if (!copies) end = std::min(end, begin + 1);
    for (int64_t i = begin; i < end && !full(); ++i) {
      const Example e = data.read(i);
      source.puzzles.push_back(
          {format_sudoku(from_tokens(e.inputs)), format_sudoku(from_tokens(e.labels)), i});
    }
  }
  return source;
}

}  // namespace

std::vector<SudokuPuzzle> parse_sudoku_file(const std::string& text, const std::string& name,
                                            const SudokuRules& rules) {
  return solved({read_text(text, name, 0)}, rules, {});
}

std::vector<SudokuPuzzle> read_sudoku(const std::vector<Path>& sources, const SudokuRules& rules,
                                      int64_t most, const ProgressCallback& on_progress) {
  std::vector<Source> read;
  read.reserve(sources.size());
  for (const Path& source : sources)
    read.push_back(std::filesystem::is_directory(source)
                       ? read_dataset(source, "train", false, most)
                       : read_text(read_input(source), input_name(source), most));
  return solved(std::move(read), rules, on_progress);
}

std::vector<SudokuPuzzle> read_sudoku_tests(const std::vector<Path>& folders,
                                            const SudokuRules& rules) {
  std::vector<Source> read;
  read.reserve(folders.size());
  for (const Path& folder : folders) read.push_back(read_dataset(folder, "test", true, 0));
  return solved(std::move(read), rules, {});
}

}  // namespace hrm

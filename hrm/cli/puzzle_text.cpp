#include "hrm/cli/puzzle_text.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "hrm/support/input.h"
#include "hrm/support/text.h"
#include "hrm/tasks/registry.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

// Of a file: more than all published test sets, and little enough to be held several times.
constexpr int64_t kMostBytes = 1 << 26, kMostLines = 1'000'000;
// So many lines may stand before the first puzzle: each of them is tried.
constexpr int64_t kMostTried = 1000;

using Fits = std::function<bool(const std::string&)>;

// Whether a person meant a file: what is no puzzle of any kind, and a path or a name that ends like
// .txt. (A board of queens of a wrong size may end in ".Q".)
bool looks_like_file(const std::string& given) {
  const bool is_puzzle = std::ranges::any_of(
      task_kinds(), [&](const TaskKind& kind) { return kind.recognise && kind.recognise(given); });
  if (is_puzzle) return false;
  const std::string ending = Path(given).extension();
  return given.find('/') != std::string::npos ||
         (ending.size() > 2 && std::isalpha(static_cast<unsigned char>(ending[1])));
}

std::string text_of_file(const std::string& given) {
  std::string text = read_input(given, kMostBytes);
  HRM_CHECK(std::ranges::count(text, '\n') <= kMostLines, "[solve] ", input_name(given),
            " has more than ", kMostLines,
            " lines. HINT: is it the right file? If so, solve it in parts");
  HRM_CHECK(!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF"), "[solve] ",
            input_name(given), " is UTF-16 text. HINT: save it as UTF-8");
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // the byte order mark of UTF-8
  HRM_CHECK(text.find_first_not_of(" \r\n\t") != std::string::npos, "[solve] ", input_name(given),
            " is empty. HINT: it must hold a puzzle, such as a Sudoku or a maze");
  return text;
}

struct NumberedLine {
  int64_t number;
  std::string text;
};

// All lines, also those that lines_of() leaves out: a maze may begin with '#'.
std::vector<NumberedLine> all_lines(const std::string& text) {
  std::vector<NumberedLine> lines;
  for (std::string_view line : split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back({std::ssize(lines) + 1, std::string(line)});
  }
  return lines;
}

bool is_blank(const std::string& line) {
  return line.find_first_not_of(" \t") == std::string::npos;
}

// The columns that the first line of a CSV file names; empty if the file is none.
std::vector<std::string> head_of(const NumberedLine& first, const std::string& where) {
  try {
    return csv_fields(first.text, where);
  } catch (const Error&) {
    return {};
  }
}

// The puzzles of a CSV file; empty if this is none.
std::vector<NumberedLine> column_of_puzzles(const std::vector<NumberedLine>& lines,
                                            const std::string& name) {
  const std::vector<std::string> head = head_of(lines.front(), name + " line 1");
  const auto column = std::ranges::find_if(
      head, [](const std::string& field) { return field == "question" || field == "puzzle"; });
  if (column == head.end()) return {};
  std::vector<NumberedLine> puzzles;
  for (const NumberedLine& line : lines) {
    if (line.number == 1 || is_blank(line.text)) continue;
    const std::string where = name + " line " + std::to_string(line.number);
    const std::vector<std::string> fields = csv_fields(line.text, where);
    HRM_CHECK(fields.size() == head.size(), "[solve] ", where, " must have ", head.size(),
              " columns, got ", fields.size());
    puzzles.push_back({line.number, fields[column - head.begin()]});
  }
  HRM_CHECK(!puzzles.empty(), "[solve] ", name,
            " holds the names of columns and no puzzle. HINT: a line for each puzzle");
  return puzzles;
}

// Parts with empty lines between them.
std::vector<NumberedLine> blocks_of(const std::vector<NumberedLine>& lines) {
  std::vector<NumberedLine> blocks;
  bool inside = false;
  for (const NumberedLine& line : lines) {
    const bool blank = line.text.empty();
    if (!blank && inside)
      blocks.back().text += "\n" + line.text;
    else if (!blank)
      blocks.push_back(line);
    inside = !blank;
  }
  return blocks;
}

// Without comments, and with what looks empty being so.
std::vector<NumberedLine> plain_lines(const std::vector<NumberedLine>& lines) {
  std::vector<NumberedLine> plain;
  for (const NumberedLine& line : lines) {
    if (line.text.starts_with('#')) continue;
    plain.push_back({line.number, is_blank(line.text) ? "" : line.text});
  }
  return plain;
}

// The puzzles in lines, in the first of three ways that fits: each block of several lines is one,
// all lines are one, each line is one. Empty if there is no such way.
std::vector<NumberedLine> puzzles_of(const std::vector<NumberedLine>& lines, const Fits& fits) {
  const std::vector<NumberedLine> blocks = blocks_of(lines);
  if (blocks.empty()) return {};
  const bool in_lines = blocks.front().text.find('\n') != std::string::npos;
  if (in_lines && fits(blocks.front().text)) return blocks;
  NumberedLine whole = blocks.front();
  for (size_t i = 1; i < blocks.size(); ++i) whole.text += "\n" + blocks[i].text;
  if (fits(whole.text)) return {whole};
  std::vector<NumberedLine> each;
  for (const NumberedLine& line : lines)
    if (!is_blank(line.text)) each.push_back(line);
  const auto tried = each.begin() + std::min<int64_t>(std::ssize(each), kMostTried);
  const bool any =
      std::any_of(each.begin(), tried, [&](const NumberedLine& line) { return fits(line.text); });
  return any ? each : std::vector<NumberedLine>();
}

}  // namespace

std::vector<PuzzleText> read_puzzles(const std::string& given, const Fits& fits) {
  std::error_code none;
  const fs::file_status status = fs::status(given, none);
  HRM_CHECK(!fs::is_directory(status), "[solve] ", given,
            " is a folder. HINT: a puzzle, a file of puzzles, or - for standard input");
  if (given != "-" && !fs::exists(status)) {
    HRM_CHECK(!looks_like_file(given), "[solve] there is no file ", given,
              ". HINT: give the puzzle itself, a file of puzzles, or - for standard input");
    return {{given, ""}};
  }
  const std::string text = text_of_file(given);
  if (fits(text)) return {{text, ""}};
  const std::vector<NumberedLine> lines = all_lines(text);
  std::vector<NumberedLine> puzzles = column_of_puzzles(lines, input_name(given));
  if (puzzles.empty()) {
    // Of a maze a line that begins with '#' is a part.
    puzzles = puzzles_of(plain_lines(lines), fits);
    const bool walls = !puzzles.empty() && puzzles.front().text.find('#') != std::string::npos;
    if (puzzles.empty() || walls) puzzles = puzzles_of(lines, fits);
  }
  if (puzzles.empty()) return {{text, ""}};
  std::vector<PuzzleText> found;
  found.reserve(puzzles.size());
  for (NumberedLine& puzzle : puzzles)
    found.push_back(
        {std::move(puzzle.text), input_name(given) + " line " + std::to_string(puzzle.number)});
  if (found.size() == 1) found.front().where.clear();
  return found;
}

}  // namespace hrm

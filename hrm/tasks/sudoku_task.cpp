#include "hrm/tasks/sudoku_task.h"

#include <algorithm>
#include <cctype>

#include <nlohmann/json.hpp>

namespace hrm {
namespace {

// A Sudoku may be written in groups and lines.
std::string without_spaces(std::string_view text) {
  std::string cells(text);
  std::erase_if(cells, [](unsigned char c) { return std::isspace(c); });
  return cells;
}

}  // namespace

std::shared_ptr<const Task> SudokuTask::make(const Members& json) {
  const auto length = [&](const char* key) {
    return static_cast<int>(json.integer(key, 1, kLargestSide));
  };
  const int side = length("side");
  HRM_CHECK(side == 4 || side == 6 || side == 9, "[data] ", json.source(),
            ": side must be 4, 6 or 9, got ", side);
  const SudokuRules rules = SudokuRules::of_side(side);
  const int box_rows = length("box_rows"), box_cols = length("box_cols");
  HRM_CHECK(box_rows == rules.box_rows && box_cols == rules.box_cols, "[data] ", json.source(),
            ": a Sudoku of side ", rules.side, " has boxes of ", rules.box_rows, "x",
            rules.box_cols, ", got ", box_rows, "x", box_cols);
  return std::make_shared<SudokuTask>(rules);
}

std::shared_ptr<const Task> SudokuTask::recognise(std::string_view text) {
  const std::string cells = without_spaces(text);
  const bool digits =
      std::ranges::all_of(cells, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
  for (const int side : {4, 6, 9})
    if (digits && std::ssize(cells) == side * side)
      return std::make_shared<SudokuTask>(SudokuRules::of_side(side));
  return nullptr;
}

Json SudokuTask::to_json() const {
  return {{"task", kind()},
          {"side", rules_.side},
          {"box_rows", rules_.box_rows},
          {"box_cols", rules_.box_cols}};
}

bool SudokuTask::fits(int64_t seq_len, int64_t vocab_size) const {
  return seq_len == rules_.cells() && vocab_size == rules_.side + 2;
}

Tokens SudokuTask::parse(std::string_view text) const {
  SudokuRules rules;
  Tokens tokens = to_tokens(parse_sudoku(without_spaces(text), &rules));
  HRM_CHECK(std::ssize(tokens) == cells(), "[sudoku] a puzzle of side ", rules_.side, " has ",
            cells(), " cells, got ", tokens.size());
  return tokens;
}

std::string SudokuTask::text(const Tokens& tokens) const {
  return format_sudoku(from_tokens(tokens));
}

std::string SudokuTask::check(const Tokens& inputs, const Tokens& answer) const {
  return check_solution(rules_, from_tokens(inputs), from_tokens(answer));
}

Tokens SudokuTask::solution(const Tokens& inputs) const {
  const SudokuSolution solution = solve_sudoku(rules_, from_tokens(inputs));
  HRM_CHECK(solution.count == 1, "[solve] the puzzle has ",
            solution.count == 0 ? "no solution" : "several solutions",
            ". HINT: check the digits; a puzzle must have exactly one");
  return to_tokens(solution.grid);
}

uint32_t SudokuTask::candidates(int32_t token) const {
  if (token < 1 || token > rules_.side + 1) return 0;
  return token > 1 ? 1u << token : (1u << (rules_.side + 2)) - 4;
}

std::function<Symmetry(Random&)> SudokuTask::symmetries() const {
  return [rules = rules_](Random& random) {
    SudokuTransform transform = SudokuTransform::draw(rules, random);
    Symmetry symmetry = {std::move(transform.source), {0, 1}};
    for (int digit = 1; digit <= rules.side; ++digit)
      symmetry.token.push_back(transform.digit[digit] + 1);
    return symmetry;
  };
}

std::string SudokuTask::symmetry_class(const Tokens& inputs, const Tokens& labels) const {
  return hrm::symmetry_class(rules_, from_tokens(inputs), from_tokens(labels));
}

CellLook SudokuTask::look(int32_t token) const {
  return {token > 1 ? std::to_string(token - 1) : ""};
}

}  // namespace hrm

#include "hrm/tasks/n_queens.h"

#include <algorithm>
#include <numeric>

#include <nlohmann/json.hpp>

#include "hrm/support/text.h"

namespace hrm {
namespace {

constexpr int kSmallest = 4, kLargest = 16;
constexpr int32_t kOpen = 1, kQueen = 2;
constexpr int kVocab = 3;

bool attack(int row, int col, int other_row, int other_col) {
  return row == other_row || col == other_col ||
         std::abs(row - other_row) == std::abs(col - other_col);
}

// The column of the queen in each row, -1 where it is open.
using Columns = std::vector<int>;

Tokens board_of(const Columns& columns) {
  const int side = static_cast<int>(std::ssize(columns));
  Tokens tokens(side * side, kOpen);
  for (int row = 0; row < side; ++row)
    if (columns[row] >= 0) tokens[row * side + columns[row]] = kQueen;
  return tokens;
}

// Completes the rows from `row` on by trying `order` of columns, and going back.
bool complete(Columns& columns, const std::vector<int>& order, int row = 0) {
  const int side = static_cast<int>(std::ssize(columns));
  if (row == side) return true;
  if (columns[row] >= 0) return complete(columns, order, row + 1);
  for (const int col : order) {
    bool safe = true;
    for (int other = 0; other < side; ++other)
      safe = safe && (columns[other] < 0 || !attack(row, col, other, columns[other]));
    if (!safe) continue;
    columns[row] = col;
    if (complete(columns, order, row + 1)) return true;
    columns[row] = -1;
  }
  return false;
}

// A random board that is full, and some of its queens.
Generator::Puzzle draw(int side, Random& random) {
  std::vector<int> order(side), rows(side);
  std::iota(order.begin(), order.end(), 0);
  std::iota(rows.begin(), rows.end(), 0);
  random.shuffle(order);
  random.shuffle(rows);
  // A first queen anywhere, and a random order of trying: every full board is possible.
  Columns columns(side, -1);
  columns[rows[0]] = static_cast<int>(random.below(side));
  if (!complete(columns, order)) return draw(side, random);
  Generator::Puzzle puzzle;
  puzzle.labels = board_of(columns);
  const int open = 2 + static_cast<int>(random.below(side / 2 - 1));  // 2 to half of the queens
  for (int i = 0; i < open; ++i) columns[rows[i]] = -1;
  puzzle.inputs = board_of(columns);
  return puzzle;
}

// One of the eight symmetries of the square: three bits, for a transposition and two reflections.
Symmetry turned(int side, int id) {
  Symmetry symmetry = {std::vector<int>(side * side), {0, kOpen, kQueen}};
  for (int row = 0; row < side; ++row)
    for (int col = 0; col < side; ++col) {
      int r = id & 1 ? col : row, c = id & 1 ? row : col;
      if (id & 2) r = side - 1 - r;
      if (id & 4) c = side - 1 - c;
      symmetry.source[row * side + col] = r * side + c;
    }
  return symmetry;
}

}  // namespace

NQueens::NQueens(int side) : side_(side) {
  HRM_CHECK(side >= kSmallest && side <= kLargest, "[n_queens] the side of a board must be ",
            kSmallest, " to ", kLargest, ", got ", side);
}

std::shared_ptr<const Task> NQueens::make(const Members& json) {
  return std::make_shared<NQueens>(static_cast<int>(json.integer("side", kSmallest, kLargest)));
}

std::shared_ptr<const Task> NQueens::recognise(std::string_view text) {
  std::string cells(text);
  std::erase_if(cells, [](char c) { return c == '\n' || c == '\r'; });
  const int side = square_side(std::ssize(cells));
  const bool fits = side * side == std::ssize(cells) && side >= kSmallest && side <= kLargest;
  if (!fits || cells.find_first_not_of(".Q") != std::string::npos) return nullptr;
  return std::make_shared<NQueens>(side);
}

Generator NQueens::generator() {
  return {8,
          6,
          12,
          kVocab,
          [](int side) -> std::shared_ptr<const Task> { return std::make_shared<NQueens>(side); },
          draw};
}

Json NQueens::to_json() const { return {{"task", kind()}, {"side", side_}}; }

bool NQueens::fits(int64_t seq_len, int64_t vocab_size) const {
  return seq_len == side_ * side_ && vocab_size == kVocab;
}

Tokens NQueens::parse(std::string_view text) const {
  Tokens tokens;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;
    HRM_CHECK(c == '.' || c == 'Q', "[n_queens] cell ", tokens.size() + 1,
              " must be '.' or 'Q', got ", printable(std::string_view(&c, 1)));
    tokens.push_back(c == 'Q' ? kQueen : kOpen);
  }
  HRM_CHECK(std::ssize(tokens) == side_ * side_, "[n_queens] a board of side ", side_, " has ",
            side_ * side_, " cells, got ", tokens.size());
  return tokens;
}

std::string NQueens::text(const Tokens& tokens) const {
  std::string cells;
  for (const int32_t token : tokens) cells += token == kQueen ? 'Q' : '.';
  return cells;
}

std::string NQueens::check(const Tokens& inputs, const Tokens& answer) const {
  std::vector<std::pair<int, int>> queens;
  const auto name = [](int row, int col) {
    return "(" + std::to_string(row + 1) + ", " + std::to_string(col + 1) + ")";
  };
  for (int i = 0; i < side_ * side_; ++i) {
    if (inputs[i] == kQueen && answer[i] != kQueen)
      return "the given queen at " + name(i / side_, i % side_) + " is gone";
    if (answer[i] == kQueen) queens.emplace_back(i / side_, i % side_);
  }
  for (size_t i = 0; i < queens.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const auto [row, col] = queens[i];
      const auto [other_row, other_col] = queens[j];
      if (attack(row, col, other_row, other_col))
        return "the queens at " + name(other_row, other_col) + " and " + name(row, col) +
               " attack each other";
    }
  if (std::ssize(queens) == side_) return "";
  return "there are " + std::to_string(queens.size()) + " queens, not " + std::to_string(side_);
}

Tokens NQueens::solution(const Tokens& inputs) const {
  Columns columns(side_, -1);
  std::vector<int> order(side_);
  std::iota(order.begin(), order.end(), 0);
  bool possible = true;
  for (int i = 0; i < side_ * side_; ++i) {
    if (inputs[i] != kQueen) continue;
    for (int row = 0; row < side_; ++row)
      possible = possible && (columns[row] < 0 || !attack(i / side_, i % side_, row, columns[row]));
    columns[i / side_] = i % side_;
  }
  HRM_CHECK(possible && complete(columns, order),
            "[solve] the board has no solution. HINT: check the queens that are given");
  return board_of(columns);
}

uint32_t NQueens::candidates(int32_t token) const {
  if (token != kOpen && token != kQueen) return 0;
  return token == kQueen ? 1u << kQueen : 1u << kOpen | 1u << kQueen;
}

std::function<Symmetry(Random&)> NQueens::symmetries() const {
  return [side = side_](Random& random) { return turned(side, static_cast<int>(random.below(8))); };
}

std::string NQueens::symmetry_class(const Tokens& inputs, const Tokens&) const {
  std::string smallest;
  for (int id = 0; id < 8; ++id) {
    Tokens copy = inputs;
    turned(side_, id).apply(copy.data());
    const std::string one = text(copy);
    if (smallest.empty() || one < smallest) smallest = one;
  }
  return smallest;
}

CellLook NQueens::look(int32_t token) const { return {token == kQueen ? "Q" : ""}; }

}  // namespace hrm

#include "hrm/tasks/parity.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "hrm/support/text.h"

namespace hrm {
namespace {

constexpr int kSmallest = 2, kLargest = 16;
constexpr int32_t kZero = 1, kPlus = 2, kMinus = 3;
constexpr int kVocab = 4;
constexpr std::string_view kCharacters = " .+o";

Tokens answer_to(const Tokens& board) {
  Tokens answer;
  bool odd = false;
  for (const int32_t token : board) {
    odd ^= token == kPlus;
    answer.push_back(odd ? kPlus : kMinus);
  }
  return answer;
}

// One cell or more, up to all of them, is +1 or -1, anywhere.
Generator::Puzzle draw(int side, Random& random) {
  Tokens board(side * side, kZero);
  const int64_t filled = 1 + random.below(std::ssize(board));
  for (int64_t i = 0; i < filled; ++i) board[i] = random.below(2) == 0 ? kPlus : kMinus;
  random.shuffle(board);
  return {board, answer_to(board)};
}

}  // namespace

Parity::Parity(int side) : side_(side) {
  HRM_CHECK(side >= kSmallest && side <= kLargest, "[parity] the side of a board must be ",
            kSmallest, " to ", kLargest, ", got ", side);
}

std::shared_ptr<const Task> Parity::make(const Members& json) {
  return std::make_shared<Parity>(static_cast<int>(json.integer("side", kSmallest, kLargest)));
}

std::shared_ptr<const Task> Parity::recognise(std::string_view text) {
  std::string cells(text);
  std::erase_if(cells, [](char c) { return c == '\n' || c == '\r'; });
  const int side = square_side(std::ssize(cells));
  const bool fits = side * side == std::ssize(cells) && side >= kSmallest && side <= kLargest;
  // A board of dots alone may be another puzzle.
  if (!fits || cells.find_first_not_of(".+o") != std::string::npos) return nullptr;
  if (cells.find_first_of("+o") == std::string::npos) return nullptr;
  return std::make_shared<Parity>(side);
}

Generator Parity::generator() {
  return {4,
          kSmallest,
          kLargest,
          kVocab,
          [](int side) -> std::shared_ptr<const Task> { return std::make_shared<Parity>(side); },
          draw};
}

Json Parity::to_json() const { return {{"task", kind()}, {"side", side_}}; }

bool Parity::fits(int64_t seq_len, int64_t vocab_size) const {
  return seq_len == side_ * side_ && vocab_size == kVocab;
}

Tokens Parity::parse(std::string_view text) const {
  Tokens tokens;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;
    const size_t token = kCharacters.find(c);
    HRM_CHECK(token != std::string_view::npos && token > 0, "[parity] cell ", tokens.size() + 1,
              " must be '+', 'o' or '.', got ", printable(std::string_view(&c, 1)));
    tokens.push_back(static_cast<int32_t>(token));
  }
  HRM_CHECK(std::ssize(tokens) == side_ * side_, "[parity] a board of side ", side_, " has ",
            side_ * side_, " cells, got ", tokens.size());
  return tokens;
}

std::string Parity::text(const Tokens& tokens) const {
  std::string cells;
  for (const int32_t token : tokens)
    cells += token > 0 && token < kVocab ? kCharacters[token] : ' ';
  return cells;
}

std::string Parity::check(const Tokens& inputs, const Tokens& answer) const {
  const Tokens right = answer_to(inputs);
  if (answer == right) return "";
  const auto wrong = std::ranges::mismatch(answer, right).in1 - answer.begin();
  const auto plus = std::count(inputs.begin(), inputs.begin() + wrong + 1, kPlus);
  return fmt::format("cell {} must be '{}': the number of +1 up to it is {}", wrong + 1,
                     kCharacters[right[wrong]], plus);
}

Tokens Parity::solution(const Tokens& inputs) const { return answer_to(inputs); }

CellLook Parity::look(int32_t token) const {
  return {token == kPlus ? "+" : token == kMinus ? "o" : ""};
}

}  // namespace hrm

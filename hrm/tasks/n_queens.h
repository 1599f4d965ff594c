// N queens: place a queen in every row and column of a square board so that no two of them attack
// each other. A puzzle is such a board of which some queens are given; it may have several answers.
// Text: 'Q' a queen, '.' an open cell, as one line or N lines. Tokens: padding 0, '.' 1, 'Q' 2.
//
//     const NQueens task(4);
//     const Tokens board = task.parse("..Q.............");
//     task.text(task.solution(board));   // "..Q.Q......Q.Q.."
#pragma once

#include "hrm/tasks/registry.h"

namespace hrm {

class NQueens : public Task {
 public:
  explicit NQueens(int side);  // 4 to 16
  static std::shared_ptr<const Task> make(const Members& json);
  static std::shared_ptr<const Task> recognise(std::string_view text);
  static Generator generator();

  std::string kind() const override { return "n_queens"; }
  Json to_json() const override;
  int64_t cells() const override { return side_ * side_; }
  bool fits(int64_t seq_len, int64_t vocab_size) const override;
  Tokens parse(std::string_view text) const override;
  std::string text(const Tokens& tokens) const override;
  const char* noun() const override { return "board"; }
  bool has_rules() const override { return true; }
  std::string check(const Tokens& inputs, const Tokens& answer) const override;
  Tokens solution(const Tokens& inputs) const override;
  bool several_answers() const override { return true; }
  uint32_t candidates(int32_t token) const override;
  std::string refute(const Tokens& inputs, const Tokens& answer) const override {
    return check(inputs, answer);
  }
  std::function<Symmetry(Random&)> symmetries() const override;
  std::string symmetry_class(const Tokens& inputs, const Tokens& labels) const override;
  Drawing drawing() const override { return Drawing::cells; }
  CellLook look(int32_t token) const override;
  bool is_given(int32_t token) const override { return token == 2; }
  bool is_open(int32_t token) const override { return token <= 1; }

 private:
  int side_;
};

}  // namespace hrm

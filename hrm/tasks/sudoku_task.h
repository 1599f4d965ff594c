// Sudoku as a kind of puzzle; its rules and symmetries are in sudoku.h. Tokens: padding 0, blank 1,
// digit d is d + 1.
//
//     const SudokuTask task(SudokuRules::of_side(4));
//     const Tokens solved = task.solution(task.parse("12.434..21..43.1"));
#pragma once

#include "hrm/data/task.h"
#include "hrm/tasks/sudoku.h"

namespace hrm {

class SudokuTask : public Task {
 public:
  explicit SudokuTask(const SudokuRules& rules) : rules_(rules) {}
  static std::shared_ptr<const Task> make(const Members& json);
  static std::shared_ptr<const Task> recognise(std::string_view text);

  std::string kind() const override { return "sudoku"; }
  Json to_json() const override;
  int64_t cells() const override { return rules_.cells(); }
  bool fits(int64_t seq_len, int64_t vocab_size) const override;
  Tokens parse(std::string_view text) const override;
  std::string text(const Tokens& tokens) const override;
  bool has_rules() const override { return true; }
  std::string check(const Tokens& inputs, const Tokens& answer) const override;
  Tokens solution(const Tokens& inputs) const override;
  uint32_t candidates(int32_t token) const override;
  std::string refute(const Tokens& inputs, const Tokens& answer) const override {
    return check(inputs, answer);
  }
  std::function<Symmetry(Random&)> symmetries() const override;
  std::string symmetry_class(const Tokens& inputs, const Tokens& labels) const override;
  int first_symbol() const override { return 2; }
  Drawing drawing() const override { return Drawing::cells; }
  CellLayout layout(int64_t) const override {
    return {rules_.side, rules_.box_rows, rules_.box_cols};
  }
  CellLook look(int32_t token) const override;
  bool is_given(int32_t token) const override { return token > 1; }
  bool is_open(int32_t token) const override { return token <= 1; }

 private:
  SudokuRules rules_;
};

}  // namespace hrm

// Parity: a board of +1, -1 and 0, and the question whether the number of +1 is odd. Every cell of
// the answer says so of the cells up to itself, row by row; the last one says it of the whole
// board. Rules of halting are tried on it (Graves, arXiv 1603.08983, section 3.1; Banino et al.,
// arXiv 2107.05407, section 3.1), because what a cell needs grows with its place and with the
// number of +1. (There only the parity of the whole is asked. With that alone nothing is learned
// here in a minute: the parities on the way are what to build on.) Text: '+' for +1, 'o' for -1,
// '.' for 0; in an answer '+' for odd, 'o' for even. (A minus would make a board that begins with
// it an option of the command line.) Tokens: padding 0, '.' 1, '+' 2, 'o' 3.
//
//     const Parity task(3);
//     const Tokens board = task.parse("+o...+..+");
//     task.text(task.solution(board));   // "+++++ooo+"
#pragma once

#include "hrm/tasks/registry.h"

namespace hrm {

class Parity : public Task {
 public:
  explicit Parity(int side);  // 2 to 16
  static std::shared_ptr<const Task> make(const Members& json);
  static std::shared_ptr<const Task> recognise(std::string_view text);
  static Generator generator();

  std::string kind() const override { return "parity"; }
  Json to_json() const override;
  int64_t cells() const override { return side_ * side_; }
  bool fits(int64_t seq_len, int64_t vocab_size) const override;
  Tokens parse(std::string_view text) const override;
  std::string text(const Tokens& tokens) const override;
  const char* noun() const override { return "board"; }
  bool has_rules() const override { return true; }
  std::string check(const Tokens& inputs, const Tokens& answer) const override;
  Tokens solution(const Tokens& inputs) const override;
  Drawing drawing() const override { return Drawing::cells; }
  CellLook look(int32_t token) const override;

 private:
  int side_;
};

}  // namespace hrm

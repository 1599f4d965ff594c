// Mazes as a kind of puzzle. The mazes themselves are in maze.h.
//
//     const MazeTask task(3);
//     const Tokens solved = task.solution(task.parse("S #  ## G"));
#pragma once

#include "hrm/data/task.h"

namespace hrm {

class MazeTask : public Task {
 public:
  explicit MazeTask(int side) : side_(side) {}
  static std::shared_ptr<const Task> make(const Members& json);
  static std::shared_ptr<const Task> recognise(std::string_view text);

  std::string kind() const override { return "maze"; }
  Json to_json() const override;
  int64_t cells() const override { return side_ * side_; }
  bool fits(int64_t seq_len, int64_t vocab_size) const override;
  Tokens parse(std::string_view text) const override;
  std::string text(const Tokens& tokens) const override;
  const char* noun() const override { return "maze"; }
  bool has_rules() const override { return true; }
  std::string check(const Tokens& inputs, const Tokens& answer) const override;
  Tokens solution(const Tokens& inputs) const override;
  bool several_answers() const override { return true; }
  Json facts(const Tokens& inputs) const override;
  uint32_t candidates(int32_t token) const override;
  // The marked cells must be a path from S to G. That it is a shortest one is as hard to say as to
  // find it.
  std::string refute(const Tokens& inputs, const Tokens& answer) const override;
  std::function<Symmetry(Random&)> symmetries() const override;
  Drawing drawing() const override { return Drawing::text; }
  CellLook look(int32_t token) const override;
  std::vector<ColourName> legend() const override;

 private:
  int side_;
};

}  // namespace hrm

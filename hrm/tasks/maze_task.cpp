#include "hrm/tasks/maze_task.h"

#include <algorithm>
#include <numeric>

#include <nlohmann/json.hpp>

#include "hrm/tasks/arc.h"
#include "hrm/tasks/maze.h"

namespace hrm {

std::shared_ptr<const Task> MazeTask::make(const Members& json) {
  return std::make_shared<MazeTask>(static_cast<int>(json.integer("side", 1, kLargestSide)));
}

std::shared_ptr<const Task> MazeTask::recognise(std::string_view text) {
  if (text.find_first_of("#SG") == std::string_view::npos) return nullptr;
  const std::string lines(text);
  const auto cells = std::ranges::count_if(lines, [](char c) { return c != '\n' && c != '\r'; });
  return std::make_shared<MazeTask>(square_side(std::max<int64_t>(1, cells)));
}

Json MazeTask::to_json() const { return {{"task", kind()}, {"side", side_}}; }

bool MazeTask::fits(int64_t seq_len, int64_t vocab_size) const {
  return seq_len == side_ * side_ && vocab_size == kMazeVocab;
}

Tokens MazeTask::parse(std::string_view text) const {
  const Maze maze = parse_maze(text);
  HRM_CHECK(maze.side == side_, "[maze] a maze of side ", side_, " has ", cells(), " cells, got ",
            maze.cells.size());
  return maze_tokens(maze.cells);
}

std::string MazeTask::text(const Tokens& tokens) const { return maze_cells(tokens); }

std::string MazeTask::check(const Tokens& inputs, const Tokens& answer) const {
  return check_maze({side_, maze_cells(inputs)}, maze_cells(answer));
}

std::string MazeTask::refute(const Tokens& inputs, const Tokens& answer) const {
  return check_maze_path({side_, maze_cells(inputs)}, maze_cells(answer));
}

Tokens MazeTask::solution(const Tokens& inputs) const {
  const MazePath path = solve_maze({side_, maze_cells(inputs)});
  HRM_CHECK(path.length > 0, "[solve] no path leads from S to G. HINT: check the walls");
  return maze_tokens(path.answer);
}

Json MazeTask::facts(const Tokens& inputs) const {
  return {{"shortest", solve_maze({side_, maze_cells(inputs)}).length}};
}

uint32_t MazeTask::candidates(int32_t token) const {
  constexpr int32_t kFree = 2, kPath = 5;
  if (token < 1 || token >= kPath) return 0;  // a puzzle has no path yet
  return token == kFree ? 1u << kFree | 1u << kPath : 1u << token;
}

std::function<Symmetry(Random&)> MazeTask::symmetries() const {
  return [side = side_](Random& random) {
    Symmetry symmetry = {dihedral_sources(side, static_cast<int>(random.below(8))),
                         Tokens(kMazeVocab)};
    std::iota(symmetry.token.begin(), symmetry.token.end(), 0);
    return symmetry;
  };
}

CellLook MazeTask::look(int32_t token) const {
  switch (token) {
    case 1:
      return {"", "var(--wall)"};
    case 3:
      return {"S", "var(--free)"};
    case 4:
      return {"G", "var(--free)"};
    case 5:
      return {"", "var(--path)"};
    default:
      return {"", "var(--free)"};
  }
}

std::vector<ColourName> MazeTask::legend() const {
  return {{"var(--wall)", "wall"}, {"var(--free)", "free"}, {"var(--path)", "the way from S to G"}};
}

}  // namespace hrm

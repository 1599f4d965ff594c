#include "hrm/tasks/maze.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

#include "hrm/support/text.h"
#include "hrm/tasks/arc.h"

namespace hrm {
namespace {

constexpr std::string_view kCharset = "# SGo";

MazePuzzle checked(std::string_view text, const std::string& where) {
  MazePuzzle p;
  try {
    p.maze = parse_maze(text);
    p.path = solve_maze(p.maze);
    HRM_CHECK(p.path.length > 0, "[maze] no path leads from S to G");
  } catch (const Error& error) {
    detail::fail(error.what(), " (", where, ")");
  }
  return p;
}

}  // namespace

Maze parse_maze(std::string_view text) {
  Maze maze;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;
    HRM_CHECK(c != 'o' && kCharset.find(c) != std::string_view::npos, "[maze] cell ",
              maze.cells.size(), " is '", printable(std::string_view(&c, 1)),
              "', must be '#', ' ', S or G");
    maze.cells += c;
  }
  HRM_CHECK(maze.cells.size() <= kLargestSide * kLargestSide, "[maze] a maze has at most ",
            kLargestSide, " cells a side, got ", maze.cells.size(), " cells");
  maze.side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(maze.cells.size()))));
  HRM_CHECK(maze.side > 1 && maze.side * maze.side == static_cast<int>(maze.cells.size()),
            "[maze] a maze must be square, got ", maze.cells.size(),
            " cells. HINT: every line needs all its blanks");
  for (const char end : {'S', 'G'})
    HRM_CHECK(std::ranges::count(maze.cells, end) == 1, "[maze] a maze has one ", end, ", got ",
              std::ranges::count(maze.cells, end));
  return maze;
}

std::string format_maze(const Maze& maze) {
  std::string text;
  for (int r = 0; r < maze.side; ++r) text += maze.cells.substr(r * maze.side, maze.side) + "\n";
  return text;
}

std::vector<int> maze_tokens(const std::string& cells) {
  std::vector<int> tokens;
  for (const char c : cells) tokens.push_back(static_cast<int>(kCharset.find(c)) + 1);
  return tokens;
}

std::string maze_cells(const std::vector<int>& tokens) {
  std::string cells;
  for (const int t : tokens) cells += t > 0 && t < kMazeVocab ? kCharset[t - 1] : '?';
  return cells;
}

MazeDistances maze_distances(const Maze& maze, int start) {
  MazeDistances d;
  d.steps.assign(maze.cells.size(), -1);
  d.paths.assign(maze.cells.size(), 0);
  d.order = {start};
  d.steps[start] = 0;
  d.paths[start] = 1;
  for (size_t at = 0; at < d.order.size(); ++at) {
    const int cell = d.order[at], row = cell / maze.side, col = cell % maze.side;
    for (const auto& [dr, dc] : {std::pair{-1, 0}, {0, -1}, {0, 1}, {1, 0}}) {
      const int r = row + dr, c = col + dc, next = r * maze.side + c;
      if (r < 0 || c < 0 || r >= maze.side || c >= maze.side || maze.cells[next] == '#') continue;
      if (d.steps[next] < 0) {
        d.steps[next] = d.steps[cell] + 1;
        d.order.push_back(next);
      }
      if (d.steps[next] == d.steps[cell] + 1)
        d.paths[next] = std::min(2, d.paths[next] + d.paths[cell]);
    }
  }
  return d;
}

MazePath solve_maze(const Maze& maze) {
  const size_t start = maze.cells.find('S'), end = maze.cells.find('G');
  if (start == std::string::npos || end == std::string::npos) return {-1, false, maze.cells};
  const auto goal = static_cast<int>(end);
  const MazeDistances d = maze_distances(maze, static_cast<int>(start));
  MazePath path{d.steps[goal], d.paths[goal] == 1, maze.cells};
  // Back from the goal: of the neighbours one step nearer, the first in reading order.
  for (int cell = goal; path.length > 0;) {
    for (const int step : {-maze.side, -1, 1, maze.side}) {
      const int next = cell + step;
      const bool inside = next >= 0 && next < static_cast<int>(maze.cells.size()) &&
                          (step % maze.side == 0 || next / maze.side == cell / maze.side);
      if (!inside || d.steps[next] != d.steps[cell] - 1) continue;
      cell = next;
      break;
    }
    if (d.steps[cell] == 0) break;
    path.answer[cell] = 'o';
  }
  return path;
}

std::string check_maze_path(const Maze& maze, const std::string& answer) {
  if (answer.size() != maze.cells.size()) return "the answer has another size";
  Maze walked = maze;  // what is not on the path becomes wall
  int64_t marked = 0;
  for (size_t i = 0; i < answer.size(); ++i) {
    const std::string place = "cell (" + std::to_string(i / maze.side + 1) + ", " +
                              std::to_string(i % maze.side + 1) + ")";
    const bool path = answer[i] == 'o';
    if (path && maze.cells[i] != ' ') return place + " is on the path but not free";
    if (!path && answer[i] != maze.cells[i]) return place + " changes the maze";
    if (maze.cells[i] == ' ' && !path) walked.cells[i] = '#';
    marked += path;
  }
  const int64_t length = solve_maze(walked).length;
  if (length < 0) return "the marked cells do not join S and G";
  return marked == length - 1 ? "" : "cells beside the path are marked";
}

std::string check_maze(const Maze& maze, const std::string& answer) {
  std::string wrong = check_maze_path(maze, answer);
  if (!wrong.empty()) return wrong;
  const int64_t length = std::ranges::count(answer, 'o') + 1;
  const int64_t shortest = solve_maze(maze).length;
  if (length == shortest) return "";
  return fmt::format("the path has {} steps, {} are enough", length, shortest);
}

std::vector<MazePuzzle> parse_maze_csv(const std::string& text, const std::string& name) {
  const std::vector<Line> lines = lines_of(text);
  HRM_CHECK(lines.empty() || lines[0].text == "source,question,answer,rating", "[maze] ", name,
            " line ", lines[0].number, " must be the header source,question,answer,rating");
  HRM_CHECK(lines.size() > 1, "[maze] ", name, " holds no mazes");
  std::vector<MazePuzzle> puzzles;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::string where = name + " line " + std::to_string(lines[i].number);
    const auto fields = split(lines[i].text, ',');
    HRM_CHECK(fields.size() == 4, "[maze] ", where, " must have 4 columns, got ", fields.size());
    MazePuzzle p = checked(fields[1], where);
    p.path.answer = fields[2];
    const std::string wrong = check_maze(p.maze, p.path.answer);
    HRM_CHECK(wrong.empty(), "[maze] the answer is not a shortest path: ", wrong, " (", where, ")");
    puzzles.push_back(std::move(p));
  }
  return puzzles;
}

}  // namespace hrm

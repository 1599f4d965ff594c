// Square mazes: '#' wall, ' ' free, 'S' start, 'G' goal, 'o' a cell of the path. Tokens: PAD 0,
// then the five in this order. The answer to a maze is a shortest path between S and G.
//
//     const Maze maze = parse_maze("S #  ## G");
//     const MazePath path = solve_maze(maze);   // 4 steps
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hrm/data/task.h"

namespace hrm {

inline constexpr int kMazeVocab = 6;

struct Maze {
  int side = 0;
  std::string cells;  // side * side characters
};
// One line of side * side characters, or `side` lines (as in a file of its own). Errors name the
// place.
Maze parse_maze(std::string_view text);
std::string format_maze(const Maze& maze);  // as lines
std::vector<int> maze_tokens(const std::string& cells);
std::string maze_cells(const std::vector<int>& tokens);

struct MazePath {
  int64_t length = -1;  // steps from S to G; -1: there is no path
  bool unique = false;  // no other path is as short
  std::string answer;   // the cells with one shortest path marked 'o'
};
// By breadth-first search. Without S or G there is no path.
MazePath solve_maze(const Maze& maze);
// Steps from `start` to every cell (-1: not reachable), and the number of shortest paths, which
// stops counting at 2.
struct MazeDistances {
  std::vector<int> steps, paths;
  std::vector<int> order;  // cells by distance
};
MazeDistances maze_distances(const Maze& maze, int start);
// "" if `answer` is `maze` with the cells of a path from S to G marked, of which each touches only
// the one before and the one after, else what is wrong. For check_maze it must be a shortest path.
std::string check_maze_path(const Maze& maze, const std::string& answer);
std::string check_maze(const Maze& maze, const std::string& answer);

struct MazePuzzle {
  Maze maze;
  MazePath path;
};
// CSV with the header source,question,answer,rating (the form of Maze-Hard), each answer checked;
// errors name `name` and the line.
std::vector<MazePuzzle> parse_maze_csv(const std::string& text, const std::string& name);

}  // namespace hrm

// Square mazes: '#' wall, ' ' free, 'S' start, 'G' goal, 'o' a cell of the path. Tokens: PAD 0,
// then the five in this order. The answer to a maze is a shortest path between S and G.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hrm/data/dataset_writer.h"
#include "hrm/progress.h"

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
// "" if `answer` is `maze` with exactly the cells of a shortest path marked, else what is wrong.
std::string check_maze(const Maze& maze, const std::string& answer);

struct MazeBuild {
  int side = 30;
  int64_t count = 2000, test_count = 1000;  // puzzles in all, and of them in the test split
  int64_t min_path = 0;                     // steps; 0: side^2 / 8.2, so 110 of a side of 30
  bool unique = false;                      // only mazes with one shortest path
  double walls_low = 0.3, walls_high = 0.5;
  // CSV source,question,answer,rating instead of the generator; `test_from` if the test puzzles
  // have a file of their own.
  Path from, test_from;
  Path csv;  // also write all puzzles as such a file
  uint64_t seed = 0;
  bool replace = false;
  ProgressCallback on_progress;
};
struct MazeSummary {
  int64_t train = 0, test = 0;
  double mean_path = 0, wall_share = 0, unique_share = 0;
  double acceptance = 1;  // puzzles per wall pattern tried
};
MazeSummary build_maze(const MazeBuild& build, const Path& out);
// The number of mazes in such a CSV, each checked with its answer; errors name `name` and the line.
int64_t check_maze_csv(const std::string& text, const std::string& name);

// One of the eight symmetries of the square.
Augmentation maze_augmentation(int side);

}  // namespace hrm

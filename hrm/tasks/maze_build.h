// Making data sets of mazes, generated or imported.
//
//     MazeBuild build;
//     build.side = 10;
//     build.min_path = 9;
//     const MazeSummary summary = build_maze(build, "data/maze10");
#pragma once

#include "hrm/data/dataset_writer.h"
#include "hrm/support/progress.h"
#include "hrm/tasks/maze.h"

namespace hrm {

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

}  // namespace hrm

#include "hrm/tasks/maze_build.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "hrm/support/input.h"
#include "hrm/tasks/maze_task.h"

namespace hrm {
namespace {

// Start and goal for a pattern of walls: S at random in a large free region, and as G a cell at a
// shortest distance of min_path or more, after moving S once to the far end. False: there is none.
bool place_ends(Maze& maze, const MazeBuild& build, int64_t min_path, Random& random) {
  std::vector<int> free;
  for (size_t i = 0; i < maze.cells.size(); ++i)
    if (maze.cells[i] == ' ') free.push_back(static_cast<int>(i));
  if (free.empty()) return false;
  int start = free[random.below(std::ssize(free))];
  for (const bool moved : {false, true}) {
    const MazeDistances d = maze_distances(maze, start);
    std::vector<int> goals;
    for (const int cell : d.order)
      if (d.steps[cell] >= min_path && (!build.unique || d.paths[cell] == 1)) goals.push_back(cell);
    if (!goals.empty()) {
      maze.cells[start] = 'S';
      maze.cells[goals[random.below(std::ssize(goals))]] = 'G';
      return true;
    }
    if (!moved) start = d.order.back();
  }
  return false;
}

std::vector<MazePuzzle> read_csv(const Path& file) {
  return parse_maze_csv(read_input(file), input_name(file));
}

std::vector<MazePuzzle> generate(const MazeBuild& build, int64_t* tried) {
  HRM_CHECK(build.walls_low >= 0 && build.walls_low <= build.walls_high && build.walls_high < 1,
            "[maze] --walls must be a range LOW-HIGH within 0 and 1");
  const int64_t min_path =
      build.min_path > 0 ? build.min_path : std::lround(build.side * build.side / 8.2);
  Random random = Random(build.seed).fork("maze");
  std::vector<MazePuzzle> puzzles;
  std::set<std::string> seen;
  while (std::ssize(puzzles) < build.count) {
    ++*tried;
    HRM_CHECK(*tried < 100000 || std::ssize(puzzles) * 20000 > *tried, "[maze] only ",
              puzzles.size(), " mazes found in ", *tried, " patterns of walls. HINT: a ",
              "smaller --min-path than ", min_path, ", or --walls nearer to 0.3-0.4");
    Maze maze{build.side, std::string(build.side * build.side, ' ')};
    const double walls = build.walls_low + (build.walls_high - build.walls_low) * random.uniform();
    for (char& c : maze.cells)
      if (random.uniform() < walls) c = '#';
    if (!place_ends(maze, build, min_path, random) || !seen.insert(maze.cells).second) continue;
    puzzles.push_back({maze, solve_maze(maze)});
    if (build.on_progress) build.on_progress(std::ssize(puzzles), build.count);
  }
  return puzzles;
}

std::string csv_text(const std::vector<MazePuzzle>& puzzles) {
  std::string text = "source,question,answer,rating\n";
  for (const MazePuzzle& p : puzzles)
    text +=
        "hrm," + p.maze.cells + "," + p.path.answer + "," + std::to_string(p.path.length) + "\n";
  return text;
}

}  // namespace

MazeSummary build_maze(const MazeBuild& build, const Path& out) {
  MazeSummary summary;
  int64_t tried = 0;
  if (build.from.empty() && build.test_from.empty())
    HRM_CHECK(build.test_count < build.count, "[maze] all ", build.count,
              " mazes would be needed for the test split of ", build.test_count,
              ". HINT: a larger --count or a smaller --test");
  const Path csv_folder = build.csv.parent_path();
  HRM_CHECK(csv_folder.empty() || std::filesystem::is_directory(csv_folder),
            "[maze] there is no folder ", csv_folder.string(), " to write ", build.csv.string(),
            " in");
  std::vector<MazePuzzle> puzzles =
      build.from.empty() ? generate(build, &tried) : read_csv(build.from);
  int64_t test_count = build.test_count;
  Random random = Random(build.seed).fork("split");
  if (build.test_from.empty()) {
    random.shuffle(puzzles);
    HRM_CHECK(test_count < std::ssize(puzzles), "[maze] all ", puzzles.size(),
              " mazes were needed for the test split. HINT: ",
              build.from.empty() ? "a larger --count or a smaller --test" : "a smaller --test");
  } else {
    std::vector<MazePuzzle> test = read_csv(build.test_from);
    test_count = std::ssize(test);
    puzzles.insert(puzzles.begin(), test.begin(), test.end());
  }
  const int side = puzzles[0].maze.side;
  DatasetInfo info;
  info.seq_len = side * side;
  info.vocab_size = kMazeVocab;
  DatasetWriter writer(out, info, MazeTask(side).to_json(), build.replace);
  for (size_t i = 0; i < puzzles.size(); ++i) {
    const MazePuzzle& p = puzzles[i];
    HRM_CHECK(p.maze.side == side, "[maze] mazes of sides ", side, " and ", p.maze.side,
              " do not go into one data set");
    writer.add(static_cast<int64_t>(i) < test_count ? "test" : "train", maze_tokens(p.maze.cells),
               maze_tokens(p.path.answer), static_cast<int64_t>(i));
    const double n = static_cast<double>(puzzles.size());
    summary.mean_path += static_cast<double>(p.path.length) / n;
    summary.unique_share += p.path.unique / n;
    summary.wall_share += static_cast<double>(std::ranges::count(p.maze.cells, '#')) /
                          (n * static_cast<double>(info.seq_len));
  }
  summary.train = writer.count("train");
  summary.test = writer.count("test");
  if (tried) summary.acceptance = static_cast<double>(puzzles.size()) / static_cast<double>(tried);
  const Json recorded = {{"mean_path", summary.mean_path},
                         {"wall_share", summary.wall_share},
                         {"unique_share", summary.unique_share},
                         {"acceptance", summary.acceptance},
                         {"seed", build.seed}};
  // First, so that no data set is left where it cannot be written.
  if (!build.csv.empty()) write_output(build.csv, csv_text(puzzles));
  writer.finish({"<blank>"}, {{"maze.json", recorded.dump() + "\n"}});
  return summary;
}

}  // namespace hrm

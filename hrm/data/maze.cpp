#include "hrm/data/maze.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "hrm/data/arc.h"
#include "hrm/support/input.h"
#include "hrm/support/text.h"

namespace hrm {
namespace {

constexpr std::string_view kCharset = "# SGo";

// Steps from `start` to every cell (-1: not reachable), and the number of shortest paths, which
// stops counting at 2.
struct Distances {
  std::vector<int> steps, paths;
  std::vector<int> order;  // cells by distance
};

Distances distances(const Maze& maze, int start) {
  Distances d;
  d.steps.assign(maze.cells.size(), -1), d.paths.assign(maze.cells.size(), 0);
  d.order = {start}, d.steps[start] = 0, d.paths[start] = 1;
  for (size_t at = 0; at < d.order.size(); ++at) {
    const int cell = d.order[at], row = cell / maze.side, col = cell % maze.side;
    for (const auto& [dr, dc] : {std::pair{-1, 0}, {0, -1}, {0, 1}, {1, 0}}) {
      const int r = row + dr, c = col + dc, next = r * maze.side + c;
      if (r < 0 || c < 0 || r >= maze.side || c >= maze.side || maze.cells[next] == '#') continue;
      if (d.steps[next] < 0) d.steps[next] = d.steps[cell] + 1, d.order.push_back(next);
      if (d.steps[next] == d.steps[cell] + 1)
        d.paths[next] = std::min(2, d.paths[next] + d.paths[cell]);
    }
  }
  return d;
}

// Start and goal for a pattern of walls: S at random in a large free region, and as G a cell at a
// shortest distance of min_path or more, after moving S once to the far end. False: there is none.
bool place_ends(Maze& maze, const MazeBuild& build, int64_t min_path, Random& random) {
  std::vector<int> free;
  for (size_t i = 0; i < maze.cells.size(); ++i)
    if (maze.cells[i] == ' ') free.push_back(static_cast<int>(i));
  if (free.empty()) return false;
  int start = free[random.below(std::ssize(free))];
  for (const bool moved : {false, true}) {
    const Distances d = distances(maze, start);
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

struct Puzzle {
  Maze maze;
  MazePath path;
};

Puzzle checked(std::string_view text, const std::string& where) {
  Puzzle p;
  try {
    p.maze = parse_maze(text);
    p.path = solve_maze(p.maze);
    CHECK(p.path.length > 0, "[maze] no path leads from S to G");
  } catch (const Error& error) {
    detail::fail(error.what(), " (", where, ")");
  }
  return p;
}

std::vector<Puzzle> parse_csv(const std::string& text, const std::string& name) {
  const std::vector<Line> lines = lines_of(text);
  CHECK(lines.empty() || lines[0].text == "source,question,answer,rating", "[maze] ", name,
        " line ", lines[0].number, " must be the header source,question,answer,rating");
  CHECK(lines.size() > 1, "[maze] ", name, " holds no mazes");
  std::vector<Puzzle> puzzles;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::string where = name + " line " + std::to_string(lines[i].number);
    const auto fields = split(lines[i].text, ',');
    CHECK(fields.size() == 4, "[maze] ", where, " must have 4 columns, got ", fields.size());
    Puzzle p = checked(fields[1], where);
    p.path.answer = fields[2];
    const std::string wrong = check_maze(p.maze, p.path.answer);
    CHECK(wrong.empty(), "[maze] the answer is not a shortest path: ", wrong, " (", where, ")");
    puzzles.push_back(std::move(p));
  }
  return puzzles;
}

std::vector<Puzzle> read_csv(const Path& file) {
  return parse_csv(read_input(file), input_name(file));
}

std::vector<Puzzle> generate(const MazeBuild& build, int64_t* tried) {
  CHECK(build.walls_low >= 0 && build.walls_low <= build.walls_high && build.walls_high < 1,
        "[maze] --walls must be a range LOW-HIGH within 0 and 1");
  const int64_t min_path =
      build.min_path > 0 ? build.min_path : std::lround(build.side * build.side / 8.2);
  Random random = Random(build.seed).fork("maze");
  std::vector<Puzzle> puzzles;
  std::set<std::string> seen;
  while (std::ssize(puzzles) < build.count) {
    ++*tried;
    CHECK(*tried < 100000 || std::ssize(puzzles) * 20000 > *tried, "[maze] only ", puzzles.size(),
          " mazes found in ", *tried, " patterns of walls. HINT: a ", "smaller --min-path than ",
          min_path, ", or --walls nearer to 0.3-0.4");
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

std::string csv_text(const std::vector<Puzzle>& puzzles) {
  std::string text = "source,question,answer,rating\n";
  for (const Puzzle& p : puzzles)
    text +=
        "hrm," + p.maze.cells + "," + p.path.answer + "," + std::to_string(p.path.length) + "\n";
  return text;
}

}  // namespace

int64_t check_maze_csv(const std::string& text, const std::string& name) {
  return std::ssize(parse_csv(text, name));
}

Maze parse_maze(std::string_view text) {
  Maze maze;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;
    CHECK(c != 'o' && kCharset.find(c) != std::string_view::npos, "[maze] cell ", maze.cells.size(),
          " is '", c, "', must be '#', ' ', S or G");
    maze.cells += c;
  }
  CHECK(maze.cells.size() <= kLargestSide * kLargestSide, "[maze] a maze has at most ",
        kLargestSide, " cells a side, got ", maze.cells.size(), " cells");
  maze.side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(maze.cells.size()))));
  CHECK(maze.side > 1 && maze.side * maze.side == static_cast<int>(maze.cells.size()),
        "[maze] a maze must be square, got ", maze.cells.size(),
        " cells. HINT: every line needs all its blanks");
  for (const char end : {'S', 'G'})
    CHECK(std::ranges::count(maze.cells, end) == 1, "[maze] a maze has one ", end, ", got ",
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

MazePath solve_maze(const Maze& maze) {
  const size_t start = maze.cells.find('S'), end = maze.cells.find('G');
  if (start == std::string::npos || end == std::string::npos) return {-1, false, maze.cells};
  const auto goal = static_cast<int>(end);
  const Distances d = distances(maze, static_cast<int>(start));
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

std::string check_maze(const Maze& maze, const std::string& answer) {
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
  const int64_t length = solve_maze(walked).length, shortest = solve_maze(maze).length;
  if (length < 0) return "the marked cells do not join S and G";
  if (length > shortest)
    return "the path has " + std::to_string(length) + " steps, " + std::to_string(shortest) +
           " are enough";
  return marked == length - 1 ? "" : "cells beside the path are marked";
}

MazeSummary build_maze(const MazeBuild& build, const Path& out) {
  MazeSummary summary;
  int64_t tried = 0;
  if (build.from.empty() && build.test_from.empty())
    CHECK(build.test_count < build.count, "[maze] all ", build.count,
          " mazes would be needed for the test split of ", build.test_count,
          ". HINT: a larger --count or a smaller --test");
  const Path csv_folder = build.csv.parent_path();
  CHECK(csv_folder.empty() || std::filesystem::is_directory(csv_folder),
        "[maze] there is no folder ", csv_folder.string(), " to write ", build.csv.string(), " in");
  std::vector<Puzzle> puzzles = build.from.empty() ? generate(build, &tried) : read_csv(build.from);
  int64_t test_count = build.test_count;
  Random random = Random(build.seed).fork("split");
  if (build.test_from.empty()) {
    random.shuffle(puzzles);
    CHECK(test_count < std::ssize(puzzles), "[maze] all ", puzzles.size(),
          " mazes were needed for the test split. HINT: a larger --count or a smaller --test");
  } else {
    std::vector<Puzzle> test = read_csv(build.test_from);
    test_count = std::ssize(test);
    puzzles.insert(puzzles.begin(), test.begin(), test.end());
  }
  const int side = puzzles[0].maze.side;
  DatasetInfo info;
  info.seq_len = side * side, info.vocab_size = kMazeVocab;
  DatasetWriter writer(out, info, {"maze", side}, build.replace);
  for (size_t i = 0; i < puzzles.size(); ++i) {
    const Puzzle& p = puzzles[i];
    CHECK(p.maze.side == side, "[maze] mazes of sides ", side, " and ", p.maze.side,
          " do not go into one data set");
    writer.add(static_cast<int64_t>(i) < test_count ? "test" : "train", maze_tokens(p.maze.cells),
               maze_tokens(p.path.answer), static_cast<int64_t>(i));
    const double n = static_cast<double>(puzzles.size());
    summary.mean_path += static_cast<double>(p.path.length) / n;
    summary.unique_share += p.path.unique / n;
    summary.wall_share += static_cast<double>(std::ranges::count(p.maze.cells, '#')) /
                          (n * static_cast<double>(info.seq_len));
  }
  summary.train = writer.count("train"), summary.test = writer.count("test");
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

Augmentation maze_augmentation(int side) {
  return [side](int32_t* inputs, int32_t* labels, bool, Random& random) {
    const int id = static_cast<int>(random.below(8));
    for (int32_t* tokens : {inputs, labels}) {
      const ArcGrid grid{side, side, {tokens, tokens + side * side}};
      const ArcGrid turned = dihedral_transform(grid, id);
      // Signed again: a label that is not supervised is -100.
      std::ranges::transform(turned.cells, tokens,
                             [](uint8_t t) { return static_cast<int8_t>(t); });
    }
  };
}

}  // namespace hrm

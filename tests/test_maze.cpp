// Mazes: text, shortest paths, judging answers, generation, data sets, symmetry.
#include <array>
#include <fstream>
#include <set>

#include "hrm/data/puzzle_dataset.h"
#include "hrm/eval/evaluate.h"
#include "hrm/tasks/maze_build.h"
#include "hrm/tasks/maze_task.h"
#include "hrm/tasks/open_dataset.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

// The fewest steps from S to G, found by trying every path: slow, but surely right.
int64_t brute_force(const Maze& maze, int cell, std::string& visited, int64_t best) {
  if (maze.cells[cell] == 'G') return 0;
  if (best == 0) return 1000;
  visited[cell] = '1';
  int64_t shortest = 1000;
  for (const auto& [dr, dc] : {std::pair{-1, 0}, {1, 0}, {0, -1}, {0, 1}}) {
    const int r = cell / maze.side + dr, c = cell % maze.side + dc, next = r * maze.side + c;
    if (r < 0 || c < 0 || r >= maze.side || c >= maze.side) continue;
    if (maze.cells[next] == '#' || visited[next] == '1') continue;
    shortest = std::min(shortest, 1 + brute_force(maze, next, visited, best - 1));
  }
  visited[cell] = '0';
  return shortest;
}

}  // namespace

TEST_CASE("maze: shortest paths are shortest, and uniqueness is told") {
  Random random(1);
  int solvable = 0;
  for (int i = 0; i < 300; ++i) {
    Maze maze{4, std::string(16, ' ')};
    for (char& c : maze.cells) c = random.uniform() < 0.35 ? '#' : ' ';
    const auto start = random.below(16), goal = random.below(16);
    if (start == goal) continue;
    maze.cells[start] = 'S';
    maze.cells[goal] = 'G';
    std::string visited(16, '0');
    const int64_t want = brute_force(maze, static_cast<int>(start), visited, 16);
    const MazePath path = solve_maze(maze);
    CHECK(path.length == (want >= 1000 ? -1 : want));
    if (path.length > 0) CHECK(check_maze(maze, path.answer) == "");
    solvable += path.length > 0;
  }
  CHECK(solvable > 50);
  CHECK_FALSE(solve_maze(parse_maze("S  G")).unique);  // 2 x 2: two ways round
  CHECK(solve_maze(parse_maze("S G######")).unique);
  CHECK_FALSE(solve_maze(parse_maze("S     ##G")).unique);
}

TEST_CASE("maze: an answer is a shortest path and nothing else") {
  const Maze maze = parse_maze("S   \n ## \n ## \n   G\n");
  const MazePath path = solve_maze(maze);
  CHECK(path.length == 6);
  CHECK_FALSE(path.unique);
  CHECK(check_maze(maze, path.answer) == "");
  CHECK(check_maze(maze, "Sooo ##o ##o   G") == "");  // the other way round is as good
  CHECK(check_maze(maze, "S    ## o## oooG").find("do not join") != std::string::npos);
  CHECK(check_maze(maze, "Soooo##oo##ooooG").find("beside") != std::string::npos);
  CHECK(check_maze(maze, "Sooo #oo ##o   G").find("not free") != std::string::npos);
  CHECK(check_maze(maze, "Sooo  #o ##o   G").find("changes the maze") != std::string::npos);
  const Maze open = parse_maze("S G      ");
  CHECK(check_maze(open, "S Gooo   ") == "the path has 4 steps, 2 are enough");
  CHECK(check_maze_path(open, "S Gooo   ") == "");  // nor is a detour refuted in a search
  const MazeTask task(3);
  CHECK(task.refute(task.parse("S G      "), maze_tokens("S Gooo   ")) == "");
  CHECK(task.refute(task.parse("S G      "), maze_tokens("S Goo    ")).find("do not join") !=
        std::string::npos);
  CHECK(check_maze_path(open, "SoGo     ") == "cells beside the path are marked");
  const Maze square = parse_maze("SG       ");
  CHECK(check_maze(square, "SGoooo   ") == "cells beside the path are marked");
  const Maze detour = parse_maze("S#G   ###");
  CHECK(check_maze(detour, "S#Gooo###") == "");
}

TEST_CASE("maze: bad text is refused with its place") {
  expect_error([] { parse_maze("S  x"); }, "cell 3 is 'x'");
  expect_error([] { parse_maze("S G"); }, "must be square, got 3 cells");
  expect_error([] { parse_maze("S   "); }, "has one G, got 0");
  expect_error([] { parse_maze("SSGG"); }, "has one S, got 2");
  expect_error([] { parse_maze(""); }, "must be square");
  expect_error([] { parse_maze(std::string(kLargestSide * kLargestSide + 1, ' ')); },
               "[maze] a maze has at most 1024 cells a side, got 1048577 cells");
  expect_error([] { parse_maze_csv("# a note\nS G\n", "m.csv"); },
               "[maze] m.csv line 2 must be the header source,question,answer,rating");
  for (const char* text : {"", "source,question,answer,rating\n"})
    expect_error([&] { parse_maze_csv(text, "m.csv"); }, "[maze] m.csv holds no mazes");
}

TEST_CASE("maze: without a start or a goal there is no path, and labels that are ignored stay so") {
  for (const char* cells : {"    ", "S   ", "   G", "####"}) {
    CHECK(solve_maze({2, cells}).length == -1);
    CHECK(check_maze({2, cells}, cells) == "the marked cells do not join S and G");
  }
  const Augmentation turn = MazeTask(2).augmentation();
  Random random(1);
  for (int i = 0; i < 50; ++i) {
    std::array<int32_t, 4> inputs = {3, 2, 2, 4}, labels = {-100, 1, 2, -100};
    turn(inputs.data(), labels.data(), true, random);
    CHECK(std::ranges::count(labels, -100) == 2);
    CHECK(std::ranges::count(labels, 1) == 1);
  }
}

TEST_CASE("maze: generated mazes keep their promises, and a CSV brings them back") {
  const TempDir dir;
  MazeBuild build;
  build.side = 10;
  build.count = 120;
  build.test_count = 20;
  build.unique = true;
  build.min_path = 15;
  build.csv = dir / "m.csv";
  const MazeSummary s = build_maze(build, dir / "d");
  CHECK(s.train == 100);
  CHECK(s.test == 20);
  CHECK(s.unique_share == doctest::Approx(1));
  CHECK(s.mean_path >= 15);
  CHECK(s.wall_share > 0.25);
  CHECK(s.wall_share < 0.55);
  CHECK(s.acceptance > 0);
  CHECK(s.acceptance <= 1);
  const PuzzleDataset train = open_dataset(dir / "d", "train");
  CHECK(train.task().kind() == "maze");
  std::set<std::string> different;
  const Augmentation turn = train.task().augmentation();
  Random random(4);
  for (int64_t i = 0; i < train.num_examples(); ++i) {
    auto [inputs, labels, id] = train.read(i);
    const Maze maze{10, maze_cells(inputs)};
    different.insert(maze.cells);
    const MazePath path = solve_maze(maze);
    CHECK(path.length >= 15);
    CHECK(path.unique);
    CHECK(maze_cells(labels) == path.answer);
    turn(inputs.data(), labels.data(), false, random);
    CHECK(check_maze({10, maze_cells(inputs)}, maze_cells(labels)) == "");
  }
  CHECK(different.size() == 100);

  MazeBuild import;
  import.from = import.test_from = dir / "m.csv";
  const MazeSummary again = build_maze(import, dir / "e");
  CHECK(again.train == 120);
  CHECK(again.test == 120);
  CHECK(again.mean_path == doctest::Approx(s.mean_path));
  expect_error([&] { build_maze(import, dir / "e"); }, "--replace");

  const auto refuses = [&](const std::string& line, const std::string& message) {
    std::ofstream(dir / "bad.csv") << "source,question,answer,rating\n" << line << "\n";
    MazeBuild bad;
    bad.from = dir / "bad.csv";
    expect_error([&] { build_maze(bad, dir / "f"); }, message);
  };
  refuses("a,S G#######,S,1,x", "line 2 must have 4 columns");
  refuses("a,S#G######,S#G######,1", "no path leads from S to G (");
  refuses("a,S G      ,S G      ,1", "not a shortest path");
  MazeBuild impossible;
  impossible.side = 5;
  impossible.min_path = 24;
  impossible.count = 10;
  impossible.test_count = 2;
  expect_error([&] { build_maze(impossible, dir / "f"); }, "smaller --min-path");
  for (const auto& [low, high] : {std::pair{0.5, 0.4}, {-0.1, 0.4}, {0.5, 1.0}}) {
    MazeBuild walls;
    walls.walls_low = low;
    walls.walls_high = high;
    expect_error([&] { build_maze(walls, dir / "f"); },
                 "[maze] --walls must be a range LOW-HIGH within 0 and 1");
  }
  std::ofstream(dir / "bad.csv") << "source,question,answer,rating\n"
                                 << "a,S G######,SoG######,2\na,SG  ,SG  ,1\n";
  MazeBuild sides;
  sides.from = dir / "bad.csv";
  sides.test_count = 2;
  expect_error([&] { build_maze(sides, dir / "f"); },
               "[maze] all 2 mazes were needed for the test split. HINT: a smaller --test");
  sides.test_count = 1;
  expect_error([&] { build_maze(sides, dir / "f"); }, "do not go into one data set");
  CHECK(dir.list() == std::vector<std::string>{"bad.csv", "d", "e", "m.csv"});
}

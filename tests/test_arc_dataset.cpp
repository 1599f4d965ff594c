// Data sets of ARC tasks: the compact and the official form, what moves, what conditions a row.
#include <map>
#include <set>

#include "hrm/data/dataset_writer.h"
#include "hrm/tasks/arc_build.h"
#include "hrm/tasks/open_dataset.h"
#include "tests/support/arc.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

TEST_CASE("arc: the compact form holds tasks and makes examples when they are read") {
  const TempDir dir;
  const ArcData data = small_arc_data();
  write_arc_tasks(dir / "set", data);
  ArcBuild build;
  build.from = {dir / "set"};
  build.options = data;
  build.options.tasks.clear();
  const ArcSummary s = build_arc(build, dir / "d");
  CHECK(s.training == 1);
  CHECK(s.evaluated == 2);
  CHECK(s.variants == 15);
  CHECK(s.train_examples == 6 * (5 + 3 + 3));
  CHECK(s.test_examples == 6 * (2 + 2));
  expect_error([&] { build_arc(build, dir / "d"); }, "--replace writes it anew");

  const PuzzleDataset train = open_dataset(dir / "d", "train");
  const PuzzleDataset test = open_dataset(dir / "d", "test");
  REQUIRE(arc_examples(train));
  CHECK(train.num_examples() == s.train_examples);
  CHECK(train.num_groups() == 3);
  CHECK(test.num_groups() == 2);
  CHECK(train.info().num_puzzle_identifiers == 1 + 3 + 15);
  CHECK(train.puzzle_names() == test.puzzle_names());
  const int64_t cells = train.info().seq_len;
  CHECK(cells == s.side * s.side);
  std::map<std::string, int> per_name;
  for (int64_t i = 0; i < train.num_examples(); ++i) {
    const auto [inputs, labels, id] = train.read(i);
    ++per_name[train.puzzle_name(id)];
    const auto [name, v] = parse_variant_name(train.puzzle_name(id));
    const auto& pairs = arc_examples(train)->pairs(arc_examples(train)->where(i).task);
    const ArcPair pair = {v.undo(crop(inputs.data(), s.side)), v.undo(crop(labels.data(), s.side))};
    CHECK(pair == pairs[arc_examples(train)->where(i).pair]);
    CHECK(std::count(labels.begin(), labels.end(), 0) == 0);  // PAD is not supervised
  }
  CHECK(per_name.size() == 18);
  CHECK(per_name["bbbb"] == 3);

  // Fewer variants in the pool leave the ids as they are. A choice of tasks or variants changes
  // them.
  DataView view;
  view.pool = 0;
  const PuzzleDataset originals = open_dataset(dir / "d", "test", view);
  CHECK(originals.num_examples() == 4);
  CHECK(originals.puzzle_names() == test.puzzle_names());
  view = {};
  view.tasks = {"cccc"};
  view.variants = 2;
  const PuzzleDataset other = open_dataset(dir / "d", "test", view);
  CHECK(other.info().num_puzzle_identifiers == 1 + 3);
  CHECK(other.puzzle_name(1) == "cccc");
  const Json good = Json::parse(arc_data_text(small_arc_data()));
  const auto refused = [&](const char* pointer, const Json& value, const std::string& message) {
    Json bad = good;
    bad[Json::json_pointer(pointer)] = value;
    expect_error([&] { parse_arc_data(bad, "arc.json"); }, message);
  };
  refused("/format", 2, "written by another version");
  refused("/canvas", 31, "'canvas' must be a whole number in 0..30, got 31");
  refused("/variants", 1000001, "'variants' must be");
  refused("/seed", -1, "'seed' must be a whole number from 0, got -1");
  refused("/kinds", "spin", "a kind of augmentation is");
  refused("/tasks", Json::array(), "arc.json holds no tasks");
  refused("/tasks/0", 1, "arc.json: task 0 must be a JSON object");
  refused("/tasks/1/id", "aaaa", "two tasks are named aaaa");
  refused("/tasks/1/evaluated", 1, "'evaluated' must be true or false");
  refused("/tasks/1/train/0", Json::array({"1"}), "bbbb: train must hold pairs");
  refused("/tasks/1/train/0/0", "", "bbbb: train holds a pair without an input");
  refused("/tasks/1/test/0/1", "12/3", "bbbb: test is no grid");
  write_text(dir / "e/arc.json", "{\"format\": 1}");
  expect_error([&] { open_dataset(dir / "e", "train"); }, "arc.json needs a member 'canvas'");
}

TEST_CASE("arc: tasks that make no data set, and data sets of something else, are refused") {
  const TempDir dir;
  ArcData data = small_arc_data(0, 2);
  expect_error([&] { ArcExamples(data, "train", {}); },
               "[arc] a grid of side " + std::to_string(smallest_canvas(data.tasks)) +
                   " does not fit a canvas of 2");
  const ArcExamples all(small_arc_data(0), "train", {});
  data.canvas = 0;
  data.tasks.resize(1);
  expect_error([&] { ArcExamples(data, "test", {}, &all); },
               "[arc] the splits have not the same tasks");
  write_arc_tasks(dir / "set", data);
  ArcBuild build;
  build.from = {dir / "set"};
  build.only_evaluation = true;
  expect_error([&] { build_arc(build, dir / "d"); },
               "[arc] no task is left. HINT: --only evaluation keeps tasks of a folder");
  CHECK_FALSE(fs::exists(dir / "d"));

  // Two variants of one task on a canvas of 2 x 2; the second one has `examples`.
  const auto official = [&](const std::string& name, int vocab, bool names, int examples) {
    DatasetInfo info;
    info.seq_len = 4;
    info.vocab_size = vocab;
    info.num_puzzle_identifiers = 3;
    DatasetWriter writer(dir / name, info, Json::object(), false);
    const std::vector<int> grid = {2, 3, 4, 5};
    writer.add("test", grid, grid, 0, 1);
    for (int i = 0; i < examples; ++i) writer.add("test", grid, grid, 0, 2, i > 0);
    writer.finish({"<blank>", "task", "task_t1_0123456789"});
    if (!names) fs::remove(dir / name / "identifiers.json");
    return OfficialArc(open_dataset(dir / name, "test"));
  };
  CHECK(official("good", kArcVocab, true, 1).num_variants(0) == 2);
  expect_error([&] { official("other", 6, true, 1); },
               "[arc] " + (dir / "other").string() + " is no ARC data set. HINT: `hrm data arc`");
  expect_error([&] { official("unnamed", kArcVocab, false, 1); }, "is no ARC data set. HINT");
  expect_error([&] { official("uneven", kArcVocab, true, 2); },
               "the variants of a task (group 0) have not the same number of examples");
}

TEST_CASE("arc: translation moves all but the first example of a variant") {
  const ArcData data = small_arc_data(0, 12);
  const PuzzleDataset train(std::make_shared<ArcExamples>(data, "train", DataView{}));
  const Augmentation move = train.task().augmentation();
  Random random(9);
  std::set<std::pair<int, int>> corners;
  for (int round = 0; round < 2000; ++round) {
    auto [inputs, labels, id] = train.read(0);
    const auto kept = inputs;
    move(inputs.data(), labels.data(), true, random);
    REQUIRE(inputs == kept);
    move(inputs.data(), labels.data(), false, random);
    const int corner = static_cast<int>(
        std::find_if(inputs.begin(), inputs.end(), [](int t) { return t >= 2; }) - inputs.begin());
    const ArcPair& pair = data.tasks[0].train[0];
    CHECK(crop(inputs.data(), 12, corner / 12, corner % 12) == pair.input);
    CHECK(crop(labels.data(), 12, corner / 12, corner % 12) == pair.output);
    corners.insert({corner / 12, corner % 12});
  }
  const ArcPair& pair = data.tasks[0].train[0];
  const int rows = 13 - std::max(pair.input.height, pair.output.height);
  const int cols = 13 - std::max(pair.input.width, pair.output.width);
  CHECK(corners.size() == static_cast<size_t>(rows * cols));
  ArcData still = data;
  still.kinds.translation = false;
  CHECK_FALSE(ArcExamples(still, "train", {}).task().augmentation());
}

TEST_CASE("arc: the official form, written and read again, is the same data") {
  const TempDir dir;
  const ArcData data = small_arc_data(4, kArcSide);
  write_arc_tasks(dir / "set", data);
  ArcBuild build;
  build.from = {dir / "set"};
  build.options = data;
  build.options.tasks.clear();
  build.official = true;
  build_arc(build, dir / "official");
  CHECK_FALSE(fs::exists(dir / "official/arc.json"));
  const PuzzleDataset train = open_dataset(dir / "official", "train");
  const PuzzleDataset test = open_dataset(dir / "official", "test");
  CHECK(train.info().ignore_label_id == 0);
  CHECK(train.info().seq_len == 900);
  const OfficialArc votes(test);
  CHECK(votes.tasks().size() == 2);
  CHECK(votes.num_examples() == test.num_examples());
  // The compact form of the same tasks names every row of the puzzle table.
  const ArcExamples compact(data, "test", {});
  CHECK(compact.puzzle_name(0) == "<blank>");
  CHECK(compact.puzzle_name(1) == data.tasks[0].id);
  CHECK(compact.puzzle_name(1 + compact.num_variants(0)) == data.tasks[1].id);
  expect_error([&] { compact.puzzle_name(compact.info().num_puzzle_identifiers); },
               "there is no puzzle id");
  for (int64_t i = 0; i < votes.num_examples(); ++i) {
    const auto w = votes.where(i);
    const ArcTask& task = data.tasks[1 + w.task];
    CHECK(votes.tasks()[w.task].id == task.id);
    CHECK(votes.pairs(w.task)[w.pair] == task.test[w.pair]);
  }
  // One example of each variant is where it was, the others anywhere.
  for (int64_t p = 0; p < train.num_puzzles(); ++p) {
    int at_corner = 0;
    for (int64_t e = train.puzzle(p).first; e < train.puzzle(p).second; ++e)
      at_corner += train.read(e).inputs[0] >= 2;
    CHECK(at_corner >= 1);
  }
  const auto tasks = official_tasks(dir / "official");
  REQUIRE(tasks.size() == 3);
  CHECK(tasks[0].train.size() == 5);  // the tests, too, of a task that is not evaluated
  CHECK(tasks[1].train == data.tasks[1].train);
  CHECK(tasks[1].test == data.tasks[1].test);
}

TEST_CASE("arc: a pool that is moved over the canvas is read where it lies") {
  ArcData data = small_arc_data(2, 9);
  DataView view;
  view.kinds = "all";
  const ArcExamples arc(data, "test", view);
  std::set<std::pair<int, int>> places;
  for (int64_t i = 0; i < arc.num_examples(); ++i) {
    const Tokens inputs = arc.read(i).inputs;
    const auto w = arc.where(i);
    const auto [row, col] = arc.offset(i);
    places.insert({row, col});
    CHECK(arc.variant(w.task, w.variant).undo(crop(inputs.data(), 9, row, col)) ==
          arc.pairs(w.task)[w.pair].input);
  }
  CHECK(places.size() > 3);
}

TEST_CASE("arc: conditionings say in each row what the model may know") {
  const ArcData data = small_arc_data();
  DataView view;
  view.conditioning = Conditioning::task;
  const PuzzleDataset task(std::make_shared<ArcExamples>(data, "train", view));
  CHECK(task.info().num_puzzle_identifiers == 4);
  const int64_t cells = task.info().seq_len;
  CHECK(task.input_len() == cells + 10);
  const int64_t last = task.num_examples() - 1;
  const auto [inputs, labels, id] = task.read(last);
  const auto w = arc_examples(task)->where(last);
  const ArcVariant& v = arc_examples(task)->variant(w.task, w.variant);
  CHECK(task.puzzle_name(id) == "cccc");
  CHECK(inputs[cells] == v.dihedral);
  for (int c = 1; c <= 9; ++c) CHECK(inputs[cells + c] == 9 * (c - 1) + v.colours[c] - 1);

  view.conditioning = Conditioning::blank;
  const PuzzleDataset blank(std::make_shared<ArcExamples>(data, "train", view));
  CHECK(blank.read(last).puzzle_id == 0);
  CHECK(blank.info().num_puzzle_identifiers == 1);

  // Demonstrations come under the row's variant, and never the row's own pair.
  view.conditioning = Conditioning::context;
  view.context_pairs = 2;
  const PuzzleDataset context(std::make_shared<ArcExamples>(data, "train", view));
  CHECK(context.input_len() == 5 * cells);
  const int side = static_cast<int>(arc_examples(context)->side());
  for (int64_t i = 0; i < context.num_examples(); ++i) {
    const Example row = context.read(i);
    const auto at = arc_examples(context)->where(i);
    const ArcVariant& variant = arc_examples(context)->variant(at.task, at.variant);
    const ArcPair own = variant.apply(arc_examples(context)->pairs(at.task)[at.pair]);
    for (int k = 0; k < 2; ++k) {
      const int32_t* demo = row.inputs.data() + cells * (1 + 2 * k);
      const ArcPair pair = {crop(demo, side), crop(demo + cells, side)};
      CHECK(pair != own);
      const auto& train = data.tasks[at.task].train;
      CHECK(std::find(train.begin(), train.end(),
                      ArcPair{variant.undo(pair.input), variant.undo(pair.output)}) != train.end());
    }
  }
}

// ARC tasks: files, variants, sequences, data sets in both forms, votes, the audit; conditionings.
#include "hrm/tasks/arc.h"
#include "hrm/tasks/open_dataset.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <set>

#include "hrm/data/dataset_writer.h"
#include "hrm/presets.h"
#include "hrm/support/text.h"
#include "hrm/tasks/arc_audit.h"
#include "hrm/tasks/arc_build.h"
#include "hrm/tasks/arc_files.h"
#include "hrm/tasks/arc_vote.h"
#include "hrm/train/trainer.h"
#include "hrm/view/picture.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

namespace {

ArcGrid random_grid(Random& random, int most = 6) {
  ArcGrid g;
  g.height = 1 + static_cast<int>(random.below(most));
  g.width = 1 + static_cast<int>(random.below(most));
  for (int i = 0; i < g.height * g.width; ++i)
    g.cells.push_back(static_cast<uint8_t>(random.below(10)));
  return g;
}

ArcTask random_task(const std::string& id, bool evaluated, Random& random) {
  ArcTask t;
  t.id = id;
  t.evaluated = evaluated;
  t.set = evaluated ? "evaluation" : "training";
  for (int i = 0; i < 3; ++i) t.train.push_back({random_grid(random), random_grid(random)});
  for (int i = 0; i < 2; ++i) t.test.push_back({random_grid(random), random_grid(random)});
  return t;
}

ArcData small_data(int64_t variants = 5, int canvas = 0) {
  Random random(3);
  ArcData data;
  data.tasks = {random_task("aaaa", false, random), random_task("bbbb", true, random),
                random_task("cccc", true, random)};
  data.variants = variants;
  data.canvas = canvas;
  return data;
}

void write(const Path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

std::string task_text(const ArcTask& t) {
  const auto grid = [](const ArcGrid& g) {
    Json rows = Json::array();
    for (int r = 0; r < g.height; ++r) {
      rows.push_back(Json::array());
      for (int c = 0; c < g.width; ++c) rows.back().push_back(g.at(r, c));
    }
    return rows;
  };
  Json json;
  for (const char* part : {"train", "test"})
    for (const ArcPair& p : part == std::string("train") ? t.train : t.test)
      json[part].push_back({{"input", grid(p.input)}, {"output", grid(p.output)}});
  return json.dump();
}

// A folder with one task for each of the data.
void write_tasks(const Path& root, const ArcData& data) {
  for (const ArcTask& t : data.tasks)
    write(root / (t.evaluated ? "evaluation" : "training") / (t.id + ".json"), task_text(t));
}

std::vector<int> answer_tokens(const ArcExamples& arc, int64_t i, const ArcGrid& answer) {
  const auto w = arc.where(i);
  const auto [row, col] = arc.offset(i);
  std::vector<int> tokens(arc.side() * arc.side());
  encode_grid(arc.variant(w.task, w.variant).apply(answer), static_cast<int>(arc.side()), row, col,
              tokens.data());
  return tokens;
}

// While it lives, this process may open one file or folder more.
class OneMoreFile {
 public:
  OneMoreFile() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(next);
    const rlimit one{static_cast<rlim_t>(next) + 1, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &one);
  }
  ~OneMoreFile() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("arc: every variant of a grid is undone") {
  Random random(1);
  std::set<int> dihedrals;
  for (int i = 0; i < 300; ++i) {
    const ArcGrid g = random_grid(random, 30);
    const ArcVariant v = ArcVariant::draw({}, random);
    dihedrals.insert(v.dihedral);
    CHECK(v.undo(v.apply(g)) == g);
    CHECK(v.colours[0] == 0);
    const auto [task, parsed] = parse_variant_name(v.name("a_t1_task"));
    CHECK(task == "a_t1_task");
    CHECK(parsed == v);
  }
  CHECK(dihedrals.size() == 8);
  CHECK(parse_variant_name("short").first == "short");
  CHECK(parse_variant_name("x_t3_0376254199").first == "x_t3_0376254199");  // no permutation
}

TEST_CASE("arc: kinds of augmentation switch separately") {
  Random random(2);
  const auto dihedrals = [&](const char* kinds) {
    std::set<int> seen;
    for (int i = 0; i < 200; ++i)
      seen.insert(ArcVariant::draw(ArcKinds::parse(kinds), random).dihedral);
    return seen;
  };
  CHECK(dihedrals("rotation") == std::set<int>{0, 1, 2, 3});
  CHECK(dihedrals("flip,colour") == std::set<int>{0, 4, 5});
  CHECK(dihedrals("transpose") == std::set<int>{0, 6, 7});
  CHECK(dihedrals("none") == std::set<int>{0});
  CHECK(ArcVariant::draw(ArcKinds::parse("rotation"), random).colours == ArcVariant{}.colours);
  CHECK(ArcKinds::parse("colour,flip").to_string() == "flip,colour");
  CHECK(ArcKinds::parse(ArcKinds{}.to_string()).translation);
  expect_error([] { ArcKinds::parse("rotation,shear"); }, "got 'shear'");
}

TEST_CASE("arc: variants of a task differ, as far as the task allows") {
  Random random(4);
  ArcTask one;  // a single black cell: every variant is the task itself
  one.id = "one";
  one.train = one.test = {{ArcGrid{1, 1, {0}}, ArcGrid{1, 1, {0}}}};
  CHECK(arc_variants(one, 50, {}, 0).size() == 1);
  ArcTask red = one;  // a red cell: nine colours
  red.train[0].input.cells[0] = 2;
  CHECK(arc_variants(red, 50, {}, 0).size() == 9);
  ArcTask line = one;  // two cells, red and black: nine colours in four directions
  line.train[0].input = {1, 2, {2, 0}};
  CHECK(arc_variants(line, 200, {}, 0).size() == 36);
  const ArcTask task = random_task("task", false, random);
  const auto many = arc_variants(task, 100, {}, 7), few = arc_variants(task, 10, {}, 7);
  std::set<std::vector<ArcPair>> different;
  for (const ArcVariant& v : many) {
    std::vector<ArcPair> pairs;
    for (const ArcPair& p : task.train) pairs.push_back(v.apply(p));
    different.insert(pairs);
  }
  CHECK(many.size() == 101);
  CHECK(different.size() == 101);
  CHECK(std::equal(few.begin(), few.end(), many.begin()));
  CHECK(arc_variants(task, 10, {}, 8) != few);
}

TEST_CASE("arc: crop returns what encode wrote, and the first largest rectangle otherwise") {
  Random random(5);
  std::vector<int32_t> tokens(900);
  for (int i = 0; i < 200; ++i) {
    const ArcGrid g = random_grid(random, 30);
    encode_grid(g, 30, 0, 0, tokens.data());
    CHECK(crop(tokens.data(), 30) == g);
    const int row = static_cast<int>(random.below(31 - g.height));
    const int col = static_cast<int>(random.below(31 - g.width));
    encode_grid(g, 30, row, col, tokens.data());
    CHECK(crop(tokens.data(), 30, row, col) == g);
    if (row > 0 || col > 0) CHECK(crop(tokens.data(), 30).empty());
  }
  const ArcGrid g{1, 2, {3, 4}};
  encode_grid(g, 3, 1, 0, tokens.data());
  CHECK(std::vector<int>(tokens.begin(), tokens.begin() + 9) ==
        std::vector<int>{0, 0, 0, 5, 6, 1, 1, 1, 0});
}

TEST_CASE(
    "arc: tasks in files, folders and combined files; what is wrong is named with its place") {
  const TempDir dir;
  const ArcData data = small_data();
  write_tasks(dir / "set", data);
  int64_t repeated = 0;
  const auto loaded = load_arc({dir / "set"}, &repeated);
  REQUIRE(loaded.size() == 3);
  CHECK(loaded[0].id == "bbbb");  // evaluation comes first by name
  CHECK(loaded[0].evaluated);
  CHECK(loaded[2].train == data.tasks[0].train);
  CHECK(repeated == 0);

  // Kaggle's combined files, with the answers beside them.
  const std::string task = task_text(data.tasks[1]);
  Json challenge = Json::parse(task);
  const Json answers = {challenge["test"][0]["output"], challenge["test"][1]["output"]};
  for (Json& t : challenge["test"]) t.erase("output");
  write(dir / "k/arc_evaluation_challenges.json", Json({{"bbbb", challenge}}).dump());
  CHECK(load_all_arc({dir / "k"})[0].test[0].output.empty());
  write(dir / "k/arc_evaluation_solutions.json", Json({{"bbbb", answers}}).dump());
  write(dir / "k/sample_submission.json", "{}");
  const auto combined = load_all_arc({dir / "k"});
  REQUIRE(combined.size() == 1);
  CHECK(combined[0].evaluated);
  CHECK(combined[0].test == data.tasks[1].test);

  // One name in two sets: evaluation wins, whatever the order.
  write(dir / "old/training/bbbb.json", task);
  const auto both = load_arc({dir / "old", dir / "set"}, &repeated);
  CHECK(repeated == 1);
  CHECK(both.size() == 3);
  CHECK(std::count_if(both.begin(), both.end(), [](const auto& t) { return t.evaluated; }) == 2);
  write(dir / "set/training/sub/cccc.json", task);
  expect_error([&] { load_all_arc({dir / "set"}); }, "two tasks are named cccc");

  const auto refuses = [&](const std::string& text, const std::string& message) {
    write(dir / "bad/x.json", text);
    expect_error([&] { load_all_arc({dir / "bad"}); }, message);
  };
  const auto with = [](const std::string& grid) {
    return R"({"train": [{"input": )" + grid +
           R"(, "output": [[1]]}], "test": [{"input": [[1]]}]})";
  };
  refuses("", "x.json is not valid JSON");
  refuses("{\"train\": [", "x.json is not valid JSON");
  refuses("[]", "must be an object with \"train\" and \"test\"");
  refuses("{}", "must be an object with \"train\" and \"test\"");
  refuses(R"({"train": [], "test": []})", "at least one pair");
  refuses(with("[[1, 2], [3]]"), "x.json: train[0].input row 1 has 1 cells, row 0 has 2");
  refuses(with("[[1, 10]]"), "train[0].input row 0 column 1 is 10, a colour is 0..9");
  refuses(with("[[1, -1]]"), "column 1 is -1");
  refuses(with("[[\"a\"]]"), "row 0 column 0 is \"a\"");
  refuses(with("[[1.5]]"), "is 1.5");
  refuses(with("[]"), "must be a list of rows");
  refuses(with("3"), "must be a list of rows");
  Json wide = Json::array({Json::array()});
  for (int i = 0; i < 31; ++i) wide[0].push_back(0);
  refuses(with(wide.dump()), "must be a list of 1 to 30 colours, got 31");
  Json tall = Json::array();
  for (int i = 0; i < 31; ++i) tall.push_back({0});
  refuses(with(tall.dump()), "has 31 rows, at most 30");
  refuses(R"({"train": [{"input": [[1]]}], "test": [{"input": [[1]]}]})",
          "train[0] needs an \"output\"");
  refuses(R"({"train": [{"output": [[1]]}], "test": []})", "x.json: train[0] needs an \"input\"");
  refuses(R"({"train": [3], "test": []})", "x.json: train[0] needs an \"input\"");
  refuses(R"({"train": 3, "test": []})", "x.json: train must be a list of pairs");
  refuses(R"({"a": )" + with("[[1]]") + R"(, "b": {"train": []}})",
          "x.json: b must be an object with \"train\" and \"test\"");
  const auto named = [&](const std::string& name) {
    return with("[[1]]").insert(1, "\"name\": " + Json(name).dump() + ", ");
  };
  for (const char* name : {"", ".", "..", "../../victim", "/absolute", "a/b", "a\\b", ".hidden",
                           "a..b", "x\x1b]0;owned", "two\nlines", "\xc2\x9b"}) {
    const std::string shown = printable(name);
    refuses(named(name), "x.json: a task cannot be named '" + shown + "'");
    const Json combined = {{name, Json::parse(with("[[1]]"))}};
    refuses(combined.dump(), "a task cannot be named '" + shown + "'");
    ArcData data = small_data();
    data.tasks[0].id = name;
    expect_error([&] { parse_arc_data(Json::parse(arc_data_text(data)), "arc.json"); },
                 "arc.json: task 0: a task cannot be named");
  }
  refuses(named(std::string(201, 'x')), "1 to 200 bytes");
  refuses(with("[[1]]").insert(1, "\"name\": 7, "), "x.json: 'name' must be text, got 7");
  refuses(std::string(100'000, '[') + std::string(100'000, ']'), "nested more than 64 levels");
  write(dir / "bad/x.json", named("\u00e9 1"));
  CHECK(load_all_arc({dir / "bad"})[0].id == "\xc3\xa9 1");
  fs::remove(dir / "bad/x.json");
  write(dir / "bad/y_challenges.json", Json({{"t", Json::parse(with("[[1]]"))}}).dump());
  write(dir / "bad/y_solutions.json", R"({"t": "[[1]]"})");
  expect_error([&] { load_all_arc({dir / "bad"}); }, "solution of t must be a list of grids");
  write(dir / "bad/y_solutions.json", "[]");
  expect_error([&] { load_all_arc({dir / "bad"}); }, "must be an object with the outputs");
  expect_error([&] { load_all_arc({dir / "nothing"}); }, "there is no");
  fs::create_directories(dir / "empty/inside");
  expect_error([&] { load_all_arc({dir / "empty"}); },
               "[arc] " + (dir / "empty").string() + " holds no .json files. HINT: a clone of");
  const auto with_one_more_file = [&] {
    const OneMoreFile limit;
    load_all_arc({dir / "empty"});
  };
  expect_error(with_one_more_file,
               "[arc] cannot look into " + (dir / "empty").string() + ": Too many open files");
  std::vector<ArcTask> tasks = data.tasks;
  expect_error([&] { keep_tasks(tasks, {"bbbc"}); },
               "no task 'bbbc' in the data. HINT: did you mean 'bbbb'?");
}

TEST_CASE("arc: the compact form holds tasks and makes examples when they are read") {
  const TempDir dir;
  const ArcData data = small_data();
  write_tasks(dir / "set", data);
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

  // Fewer variants that make examples keep the ids; other tasks and variants change them.
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
  const Json good = Json::parse(arc_data_text(small_data()));
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
  write(dir / "e/arc.json", "{\"format\": 1}");
  expect_error([&] { open_dataset(dir / "e", "train"); }, "arc.json needs a member 'canvas'");
}

TEST_CASE("arc: tasks that make no data set, and data sets of something else, are refused") {
  const TempDir dir;
  ArcData data = small_data(0, 2);
  expect_error([&] { ArcExamples(data, "train", {}); },
               "[arc] a grid of side " + std::to_string(smallest_canvas(data.tasks)) +
                   " does not fit a canvas of 2");
  const ArcExamples all(small_data(0), "train", {});
  data.canvas = 0;
  data.tasks.resize(1);
  expect_error([&] { ArcExamples(data, "test", {}, &all); },
               "[arc] the splits have not the same tasks");
  write_tasks(dir / "set", data);
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
  const ArcData data = small_data(0, 12);
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
  const ArcData data = small_data(4, kArcSide);
  write_tasks(dir / "set", data);
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
  CHECK(tasks[0].train.size() == 5);  // of a task that is not evaluated, tests too
  CHECK(tasks[1].train == data.tasks[1].train);
  CHECK(tasks[1].test == data.tasks[1].test);
}

TEST_CASE("arc: conditionings say in each row what the model may know") {
  const ArcData data = small_data();
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

TEST_CASE("arc: a model learns a task under every conditioning, and its votes are right") {
  // Every output is its input with colours 1 and 2 exchanged: easy, and the same for all tasks.
  Random random(11);
  ArcData data;
  for (const char* id : {"swap", "same"}) {
    ArcTask t;
    t.id = id;
    t.evaluated = true;
    for (int i = 0; i < 4; ++i) {
      ArcGrid g{2, 2, {}};
      for (int c = 0; c < 4; ++c) g.cells.push_back(static_cast<uint8_t>(1 + random.below(2)));
      g.cells[i] = 1;
      g.cells[(i + 1) % 4] = 2;
      ArcGrid out = g;
      if (id == std::string("swap"))
        for (uint8_t& c : out.cells) c = static_cast<uint8_t>(3 - c);
      (i < 3 ? t.train : t.test).push_back({g, out});
    }
    data.tasks.push_back(t);
  }
  data.variants = 3;
  data.canvas = 0;
  data.kinds = ArcKinds::parse("rotation,flip");
  for (const Conditioning conditioning :
       {Conditioning::variant, Conditioning::task, Conditioning::context}) {
    CAPTURE(to_string(conditioning));
    Config config = preset("arc-task");
    config.model.hidden_size = config.model.puzzle_emb_ndim = 32;
    config.model.num_heads = 2;
    config.model.H_layers = config.model.L_layers = 1;
    config.model.halt_max_steps = 2;
    config.model.conditioning = conditioning;
    config.train.total_steps = 120;
    config.train.lr_warmup_steps = 5;
    config.train.lr = 3e-3;
    config.train.puzzle_emb_lr = 1e-2;
    config.train.batch_size = 16;
    config.train.checkpoint_every = 1000;
    DataView view;
    view.conditioning = conditioning;
    view.context_pairs = config.model.context_pairs;
    const PuzzleDataset train(std::make_shared<ArcExamples>(data, "train", view));
    config.model.seq_len = train.info().seq_len;
    config.model.num_puzzle_identifiers = train.info().num_puzzle_identifiers;
    const TempDir run;
    Trainer trainer(config, train, nullptr, run.path());
    while (trainer.steps_done() < config.train.total_steps) trainer.step();
    const PuzzleDataset test(std::make_shared<ArcExamples>(data, "test", view));
    Voting voting(*arc_examples(test));
    EvalOptions options;
    options.on_answer = [&](const Answer& a) { voting.add(a.example, a.tokens, a.q_halt); };
    evaluate(trainer.model(), test, options);
    const ArcScores scores = score(voting.outcomes());
    CHECK(scores.tasks == 2);
    CHECK(scores.all_tests[1] == 1);
  }
}

TEST_CASE("arc: conditionings give the same losses on every device") {
  const ArcData data = small_data(3);
  for (const Conditioning conditioning : {Conditioning::task, Conditioning::context}) {
    CAPTURE(to_string(conditioning));
    Config config = preset("arc-task");
    config.model.hidden_size = config.model.puzzle_emb_ndim = 32;
    config.model.num_heads = 2;
    config.model.H_layers = config.model.L_layers = 1;
    config.model.conditioning = conditioning;
    config.model.context_pairs = 2;
    DataView view;
    view.conditioning = conditioning;
    view.context_pairs = 2;
    const PuzzleDataset train(std::make_shared<ArcExamples>(data, "train", view));
    config.model.seq_len = train.info().seq_len;
    config.model.num_puzzle_identifiers = train.info().num_puzzle_identifiers;
    std::vector<std::vector<double>> losses;
    for (const Device device : devices()) {
      Random weights(5), draws(6);
      Model model(config.model, &weights, device);
      TrainSampler sampler(train, 1, nullptr);
      Carry carry = initial_carry(model, 4);
      losses.emplace_back();
      for (int step = 0; step < 2; ++step) {
        begin_segment(model, carry, sampler.next(4), Refill::reference);
        const auto r = train_segment(model, carry, {}, 0.25);
        losses.back().push_back(r.loss.total.item());
        double norm = 0;  // of what the conditioning learns
        for (const auto& [name, p] : model.named_parameters())
          if (name.starts_with("context") || name.starts_with("colour_emb"))
            for (const double g : p->value.grad().to(Device::cpu).to_vector()) norm += g * g;
        CHECK(norm > 0);
        losses.back().push_back(norm);
      }
    }
    for (size_t d = 1; d < losses.size(); ++d)
      for (size_t i = 0; i < losses[d].size(); ++i)
        CHECK(losses[d][i] == doctest::Approx(losses[0][i]).epsilon(1e-3));
  }
}

TEST_CASE("arc: puzzle rows follow their names into another data set") {
  const ArcData few = small_data(2), many = small_data(4);
  const ArcExamples a(few, "train", {}), b(many, "train", {});
  const PuzzleDataset from(std::make_shared<ArcExamples>(a)), to(std::make_shared<ArcExamples>(b));
  const auto saved = from.puzzle_names(), wanted = to.puzzle_names();
  const auto rows = static_cast<int64_t>(saved.size());
  Tensor table = empty({rows, 2}, DType::f32);
  for (int64_t i = 0; i < 2 * rows; ++i) table.data<float>()[i] = static_cast<float>(i);
  int64_t found = 0;
  const Tensor moved = match_puzzle_rows(table, saved, wanted, &found);
  CHECK(found == rows - 1);
  CHECK(moved.size(0) == static_cast<int64_t>(wanted.size()));
  int64_t equal = 0;
  for (int64_t i = 1; i < moved.size(0); ++i)
    for (int64_t j = 1; j < rows; ++j)
      if (from.puzzle_name(j) == to.puzzle_name(i))
        equal += moved.data<float>()[2 * i] == table.data<float>()[2 * j];
  CHECK(equal == rows - 1);
  // A name that is not known gets the mean of the rows, without the blank one.
  const Tensor fresh = match_puzzle_rows(table, saved, {wanted[0], 12345}, &found);
  CHECK(found == 0);
  CHECK(fresh.data<float>()[2] == doctest::Approx(static_cast<float>(rows)));

  // A run does not go on with the rows of other puzzles.
  Config config = preset("arc-task");
  config.model.hidden_size = config.model.puzzle_emb_ndim = 16;
  config.model.num_heads = 2;
  config.model.seq_len = from.info().seq_len;
  config.train.total_steps = 1;
  config.model.num_puzzle_identifiers = rows;
  ArcData renamed = few;
  renamed.tasks[0].id = "zzzz";
  const PuzzleDataset other(std::make_shared<ArcExamples>(renamed, "train", DataView{}));
  const TempDir run;
  Trainer(config, from, nullptr, run.path()).run({});
  Trainer(config, from, nullptr, run.path()).resume();
  REQUIRE(other.info().num_puzzle_identifiers == rows);
  expect_error([&] { Trainer(config, other, nullptr, run.path()).resume(); },
               "is not the one that the run was trained on");

  // Checkpoints keep them.
  const TempDir dir;
  Checkpoint c;
  c.model = {{"model.inner.puzzle_emb.weights", table}};
  c.puzzle_names = saved;
  write_checkpoint(dir / "c", c);
  const Checkpoint back = read_checkpoint(dir / "c");
  CHECK(back.puzzle_names == saved);
  CHECK(back.model.size() == 1);
}

TEST_CASE("arc: votes are counted, undone and ranked; scores follow three rules") {
  const ArcData data = small_data(3);
  const ArcExamples arc(data, "test", {});
  Voting voting(arc);
  const ArcGrid wrong{1, 1, {7}};
  // Task bbbb: both tests right in all votes but one. cccc: the first test right in second place.
  for (int64_t i = arc.num_examples() - 1; i >= 0; --i) {  // rows may finish in any order
    const auto w = arc.where(i);
    const ArcGrid& truth = arc.pairs(w.task)[w.pair].output;
    const bool first_task = w.task == 1;
    const bool right = first_task ? w.variant > 0 : w.pair == 0 && w.variant < 2;
    voting.add(i, answer_tokens(arc, i, right ? truth : wrong), right ? 0.0 : 1.0);
  }
  REQUIRE(voting.outcomes().size() == 2);
  const auto& outcomes = voting.outcomes();
  const auto& b = outcomes[0].task == "bbbb" ? outcomes[0] : outcomes[1];
  const auto& c = outcomes[0].task == "bbbb" ? outcomes[1] : outcomes[0];
  CHECK(b.tests[0].rank == 1);
  CHECK(b.tests[0].best[0].count == 3);
  CHECK(b.tests[0].best[0].mean_q == doctest::Approx(0.5));
  CHECK(c.tests[0].rank == 2);  // two votes each, and the wrong one has the higher q
  CHECK(c.tests[1].rank == 0);
  const ArcScores s = score(outcomes);
  CHECK(s.all_tests[0] == 0.5);
  CHECK(s.fraction[0] == 0.5);
  CHECK(s.fraction[1] == 0.75);
  CHECK(s.outputs[1] == 0.75);
  CHECK(s.low < 0.5);
  CHECK(s.high > 0.5);
  const Json sub = submission(outcomes);
  CHECK(sub["bbbb"].size() == 2);
  CHECK(sub["cccc"][0].contains("attempt_2"));
  // Equal count and q: the one seen first.
  Votes tie;
  tie.add(wrong, 0, 5);
  tie.add({1, 1, {3}}, 0, 2);
  CHECK(tie.ranking()[0].grid.cells[0] == 3);
  CHECK(outcome_of(tie, {}).known == false);
}

TEST_CASE("arc: a pool that is moved over the canvas is read where it lies") {
  ArcData data = small_data(2, 9);
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

TEST_CASE("arc: the audit finds shared pairs up to augmentation, and shared tasks") {
  Random random(21);
  std::vector<ArcTask> tasks = {random_task("train", false, random),
                                random_task("eval", true, random)};
  CHECK(audit_arc(tasks).pairs.empty());
  CHECK(audit_arc(tasks).checked == 2);
  ArcVariant v;
  v.dihedral = 3;
  v.colours = {0, 4, 3, 2, 1, 9, 8, 7, 6, 5};
  tasks[0].train[1] = v.apply(tasks[1].test[0]);
  ArcAudit audit = audit_arc(tasks);
  REQUIRE(audit.pairs.size() == 1);
  CHECK(audit.pairs[0].task == "eval");
  CHECK(audit.pairs[0].test == 0);
  CHECK(audit.pairs[0].found_in == "train");
  // An equal output alone is counted only.
  tasks[0].train[1] = {random_grid(random), tasks[1].test[1].output};
  audit = audit_arc(tasks);
  CHECK(audit.pairs.empty());
  CHECK(audit.equal_outputs == 1);
  tasks.push_back(random_task("eval", false, random));
  CHECK(audit_arc(tasks).tasks.size() == 1);
}

TEST_CASE("arc: pictures hold every cell") {
  const Sheet sheet = {{"title <1>", {{"input", ArcGrid{2, 3, {0, 1, 2, 3, 4, 5}}}, {"none", {}}}}};
  CHECK(sheet_text(sheet, false).find("3 4 5") != std::string::npos);
  const std::string svg = sheet_svg(sheet);
  size_t cells = 0;
  for (size_t at = 0; (at = svg.find("<rect", at)) != std::string::npos; ++at) ++cells;
  CHECK(cells == 6);
  CHECK(svg.find("#FFDC00") != std::string::npos);
  CHECK(svg.find("title &lt;1&gt;") != std::string::npos);
  const std::string png = sheet_png(sheet);
  CHECK(png.starts_with("\x89PNG\r\n\x1a\n"));
  CHECK(png.find("IEND") == png.size() - 8);
}

TEST_CASE("arc: all real tasks parse and come back from 100 variants and from their tokens") {
  const fs::path root = data_dir();
  if (!fs::exists(root / "arc-agi-1")) SKIP("no ARC tasks in " << root);
  size_t files = 0;
  std::vector<int32_t> tokens(900);
  for (const char* set : {"arc-agi-1", "arc-agi-2", "conceptarc"}) {
    const auto tasks = load_all_arc({root / set});
    files += tasks.size();
    for (const ArcTask& t : tasks) {
      Random random = Random(1).fork(t.id.c_str());
      for (const auto* pairs : {&t.train, &t.test})
        for (const ArcPair& p : *pairs)
          for (const ArcGrid* g : {&p.input, &p.output}) {
            encode_grid(*g, 30, 0, 0, tokens.data());
            REQUIRE(crop(tokens.data(), 30) == *g);
          }
      for (int i = 0; i < 100; ++i) {
        const ArcVariant v = ArcVariant::draw({}, random);
        for (const ArcPair& p : t.train) {
          REQUIRE(v.undo(v.apply(p.input)) == p.input);
          REQUIRE(v.undo(v.apply(p.output)) == p.output);
        }
        for (const ArcPair& p : t.test) REQUIRE(v.undo(v.apply(p.output)) == p.output);
      }
    }
  }
  CHECK(files == 2080);
}

TEST_CASE("arc: the official sets give the known numbers") {
  const fs::path root = data_dir();
  if (!fs::exists(root / "arc-agi-1")) SKIP("no ARC tasks in " << root);
  int64_t repeated = 0;
  const auto tasks = load_arc({root / "arc-agi-1", root / "conceptarc"}, &repeated);
  CHECK(tasks.size() == 960);
  int64_t short_of = 0;
  for (const ArcTask& t : tasks) short_of += arc_variants(t, 1000, {}, 0).size() < 1001;
  CHECK(short_of == 164);
  const ArcAudit one = audit_arc(load_all_arc({root / "arc-agi-1"}));
  CHECK(one.checked == 419);
  CHECK(std::any_of(one.pairs.begin(), one.pairs.end(), [](const auto& leak) {
    return leak.task == "070dd51e" && leak.found_in == "40853293";
  }));
  CHECK(audit_arc(load_all_arc({root / "arc-agi-1", root / "arc-agi-2"})).tasks.size() == 376);
  CHECK(audit_arc(load_all_arc({root / "arc-agi-2"})).pairs.empty());
  load_arc({root / "arc-agi-1", root / "arc-agi-2"}, &repeated);
  CHECK(repeated == 773);
}

TEST_CASE("arc: a data set of the official builder loads, is voted on, and trains") {
  const fs::path folder = reference_dir() / "official_dataset_arc";
  if (!fs::exists(folder / "train")) SKIP("no data set in " << folder);
  const PuzzleDataset train = open_dataset(folder, "train");
  const PuzzleDataset test = open_dataset(folder, "test");
  CHECK(train.puzzle_names().size() == 421);
  const OfficialArc votes(test);
  CHECK(votes.tasks().size() == 10);
  for (int64_t i = 0; i < votes.num_examples(); ++i) {
    const Tokens labels = test.read(i).labels;
    const auto w = votes.where(i);
    REQUIRE(votes.variant(w.task, w.variant).undo(crop(labels.data(), 30)) ==
            votes.pairs(w.task)[w.pair].output);
  }
  const auto tasks = official_tasks(folder);
  CHECK(tasks.size() == 20);
  for (const ArcTask& t : tasks)
    for (const ArcPair& p : t.train) REQUIRE_FALSE((p.input.empty() || p.output.empty()));
  Config config = preset("hrm-arc");
  config.model.hidden_size = config.model.puzzle_emb_ndim = 16;
  config.model.num_heads = 2;
  config.model.H_layers = config.model.L_layers = 1;
  config.model.num_puzzle_identifiers = 421;
  config.train.batch_size = 2;
  config.train.total_steps = 3;
  const TempDir run;
  Trainer trainer(config, train, nullptr, run.path());
  trainer.step();
  trainer.step();
  CHECK(trainer.steps_done() == 2);
}

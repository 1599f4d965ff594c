// Data sets on disk: the official layout both ways, damage, replacement; the order of the sampler.
#include "hrm/data/dataset_writer.h"
#include "hrm/tasks/open_dataset.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <set>

#include "hrm/data/sampler.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/tasks/tokens.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

void write(const Path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

template <class T>
void write_array(const Path& path, const char* descr, const std::string& shape,
                 const std::vector<T>& values) {
  const std::string header =
      std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  const auto length = static_cast<char>(header.size());
  write(path,
        std::string("\x93NUMPY\x01\x00", 8) + length + '\0' + header +
            std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
}

json description(int64_t vocab) {
  return {{"pad_id", 0},         {"ignore_label_id", nullptr},
          {"seq_len", 2},        {"blank_identifier_id", 0},
          {"vocab_size", vocab}, {"num_puzzle_identifiers", 3},
          {"total_groups", 1},   {"mean_puzzle_examples", 1.5},
          {"sets", {"all"}}};
}

// Three examples [k, k + 1] -> [k + 1, k], the first two of one puzzle, in one group. i64, as a
// foreign program may well write it.
void write_small(const Path& folder, const json& info, const std::string& set = "all") {
  const Path split = folder / "train";
  write(split / "dataset.json", info.dump());
  write_array<int64_t>(split / (set + "__inputs.npy"), "<i8", "(3, 2)", {0, 1, 1, 2, 2, 3});
  write_array<int64_t>(split / (set + "__labels.npy"), "<i8", "(3, 2)", {1, 0, 2, 1, 3, 2});
  write_array<int64_t>(split / (set + "__puzzle_identifiers.npy"), "<i8", "(2,)", {1, 2});
  write_array<int64_t>(split / (set + "__puzzle_indices.npy"), "<i8", "(3,)", {0, 2, 3});
  write_array<int64_t>(split / (set + "__group_indices.npy"), "<i8", "(2,)", {0, 2});
}

// `groups` groups; group g has g % 3 + 1 puzzles, puzzle p of it p + 1 examples. The inputs of an
// example are (group, puzzle, number).
void write_tree(const Path& folder, int groups) {
  DatasetInfo info;
  info.seq_len = 3;
  info.vocab_size = 300;
  info.num_puzzle_identifiers = 1000;
  DatasetWriter writer(folder, info, Json::object(), false);
  int32_t id = 0;
  for (int g = 0; g < groups; ++g)
    for (int p = 0; p <= g % 3; ++p) {
      ++id;
      for (int e = 0; e <= p; ++e) writer.add("train", {g, p, e}, {g, p, e}, g, id, e > 0);
    }
  std::vector<std::string> names;
  for (int64_t i = 0; i < info.num_puzzle_identifiers; ++i) names.push_back(std::to_string(i));
  writer.finish(names);
}

std::vector<int64_t> values(const Tensor& t) {
  const std::vector<double> v = t.to_vector();
  return {v.begin(), v.end()};
}

SudokuBuild small_build(int64_t count, int64_t test) {
  SudokuBuild build;
  build.rules = SudokuRules::of_side(4);
  build.count = count;
  build.test_count = test;
  return build;
}

// While it lives, no file of this process may grow beyond `bytes`: a disk that is full.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("data sets: the official one, read and written again, has equal arrays") {
  const Path official = reference_dir() / "official_dataset_arc";
  if (!fs::exists(official / "train" / "dataset.json")) SKIP("no data set in " << official);
  const TempDir dir;
  const PuzzleDataset train = open_dataset(official, "train");
  const PuzzleDataset test = open_dataset(official, "test");
  DatasetWriter writer(dir / "copy", train.info(), Json::object(), false);
  for (const PuzzleDataset* data : {&train, &test})
    for (int64_t g = 0; g < data->num_groups(); ++g)
      for (int64_t p = data->group(g).first; p < data->group(g).second; ++p)
        for (int64_t i = data->puzzle(p).first; i < data->puzzle(p).second; ++i) {
          const Example e = data->read(i);
          writer.add(data == &train ? "train" : "test", e.inputs, e.labels, g, e.puzzle_id,
                     i > data->puzzle(p).first);
        }
  writer.finish(json::parse(read_file(official / "identifiers.json")));
  for (const char* split : {"train", "test"}) {
    for (const char* array :
         {"inputs", "labels", "puzzle_identifiers", "puzzle_indices", "group_indices"}) {
      INFO(split << " " << array);
      const Path file = Path(split) / (std::string("all__") + array + ".npy");
      const Tensor got = read_npy(dir / "copy" / file), want = read_npy(official / file);
      CHECK(got.dtype() == want.dtype());
      CHECK(got.shape() == want.shape());
      CHECK((got.to_vector() == want.to_vector()));
    }
    const Path file = Path(split) / "dataset.json";
    CHECK(json::parse(read_file(dir / "copy" / file)) == json::parse(read_file(official / file)));
  }
  CHECK(json::parse(read_file(dir / "copy" / "identifiers.json")) ==
        json::parse(read_file(official / "identifiers.json")));
}

TEST_CASE("data sets: i64, i32, u8 and bool files are read, i64 with a range check") {
  const TempDir dir;
  write_small(dir / "d", description(4));
  const PuzzleDataset data = open_dataset(dir / "d", "train");
  CHECK(data.num_examples() == 3);
  CHECK(data.num_puzzles() == 2);
  CHECK(data.num_groups() == 1);
  CHECK(data.read(1) == Example{{1, 2}, {2, 1}, 1});
  CHECK(data.read(2) == Example{{2, 3}, {3, 2}, 2});

  const Path inputs = dir / "d" / "train" / "all__inputs.npy";
  const auto second = [&] { return open_dataset(dir / "d", "train").read(1).inputs; };
  write_array<int32_t>(inputs, "<i4", "(3, 2)", {0, 1, 3, 0, 2, 3});
  CHECK(second() == std::vector<int32_t>{3, 0});
  write_array<uint8_t>(inputs, "|u1", "(3, 2)", {0, 1, 2, 2, 2, 3});
  CHECK(second() == std::vector<int32_t>{2, 2});
  write_array<uint8_t>(inputs, "|b1", "(3, 2)", {0, 1, 1, 0, 1, 1});
  CHECK(second() == std::vector<int32_t>{1, 0});
  write_array<int64_t>(inputs, "<i8", "(3, 2)", {0, 1, 1, 2, 2, int64_t{1} << 32});
  expect_error([&] { second(); }, "which does not fit 32 bits");
  write_array<float>(inputs, "<f4", "(3, 2)", {0, 1, 1, 2, 2, 3});
  expect_error([&] { second(); }, "must hold integers, got f32");
}

TEST_CASE("data sets: several sets follow each other; labels may be ignored ids out of range") {
  const TempDir dir;
  json info = description(4);
  info["sets"] = {"a", "b"};
  write_small(dir / "d", info, "a");
  write_small(dir / "d", info, "b");
  const PuzzleDataset two = open_dataset(dir / "d", "train");
  CHECK(two.num_examples() == 6);
  CHECK(two.num_groups() == 2);
  CHECK(two.group(1) == std::pair<int64_t, int64_t>{2, 4});
  CHECK(two.puzzle(2) == std::pair<int64_t, int64_t>{3, 5});
  CHECK(two.read(4) == two.read(1));
  CHECK(two.read(5).puzzle_id == 2);

  write_small(dir / "e", description(4));
  const Path labels = dir / "e" / "train" / "all__labels.npy";
  write_array<int32_t>(labels, "<i4", "(3, 2)", {1, -1, 2, -100, 3, 2});
  expect_error([&] { open_dataset(dir / "e", "train"); }, "row 0 holds token -1, vocab_size is 4");
  info = description(4);
  info["ignore_label_id"] = -1;
  write(dir / "e" / "train" / "dataset.json", info.dump());
  const PuzzleDataset ignoring = open_dataset(dir / "e", "train");
  CHECK(ignoring.read(0).labels == std::vector<int32_t>{1, kIgnoreLabel});
  CHECK(ignoring.read(1).labels == std::vector<int32_t>{2, kIgnoreLabel});
}

TEST_CASE("data sets: every disagreement between the files is an error that names the file") {
  const TempDir dir;
  const Path folder = dir / "d", train = folder / "train";
  const auto fails = [&](const std::string& message) {
    expect_error([&] { open_dataset(folder, "train"); }, message);
    fs::remove_all(folder);
    write_small(folder, description(4));
  };
  write_small(folder, description(4));
  CHECK(open_dataset(folder, "train").num_examples() == 3);
  for (const char* name :
       {"inputs", "labels", "puzzle_identifiers", "puzzle_indices", "group_indices"}) {
    fs::remove(train / (std::string("all__") + name + ".npy"));
    fails(std::string("all__") + name + ".npy: No such file");
  }
  const json good = description(4);
  for (const auto& [key, value] : good.items()) {
    if (key == "ignore_label_id") continue;  // may be absent
    json info = good;
    info.erase(key);
    write(train / "dataset.json", info.dump());
    fails("dataset.json needs a member '" + key + "'");
    info[key] = json::object();
    write(train / "dataset.json", info.dump());
    fails("dataset.json: '" + key + "' must be a");
  }
  const auto with = [&](const char* key, const json& value) {
    json info = description(4);
    info[key] = value;
    write(train / "dataset.json", info.dump());
  };
  with("pad_id", 4);
  fails("'pad_id' must be a whole number in 0..3, got 4");
  with("blank_identifier_id", -1);
  fails("'blank_identifier_id' must be a whole number in 0..2, got -1");
  with("num_puzzle_identifiers", 2);
  fails("entry 1 is 2, num_puzzle_identifiers is 2");
  with("vocab_size", 3);
  fails("row 2 holds token 3, vocab_size is 3");
  with("sets", json::array());
  fails("'sets' must not be empty");
  for (const char* set : {"", "../../x", "a\x1b"}) {
    with("sets", {set});
    fails("'sets' must hold parts of file names");
  }
  with("seq_len", 3);
  fails("must both be [n, 3]");

  write_array<int32_t>(train / "all__labels.npy", "<i4", "(2, 2)", {1, 0, 2, 1});
  fails("must both be [n, 2], got (3, 2) and (2, 2)");
  write_array<int32_t>(train / "all__inputs.npy", "<i4", "(6,)", {0, 1, 1, 2, 2, 3});
  fails("must have 2 dimensions, got shape (6)");
  write_array<int32_t>(train / "all__puzzle_identifiers.npy", "<i4", "(1,)", {1});
  fails("must have one entry a puzzle (2), got 1");
  write_array<int32_t>(train / "all__puzzle_indices.npy", "<i4", "(3,)", {0, 4, 3});
  fails("puzzle_indices.npy must ascend from 0 to 3");
  write_array<int32_t>(train / "all__group_indices.npy", "<i4", "(2,)", {0, 3});
  fails("group_indices.npy must ascend from 0 to 2");
  write_array<int32_t>(train / "all__group_indices.npy", "<i4", "(0,)", {});
  fails("group_indices.npy must ascend from 0 to 2");

  write(folder / "task.json", "[1]");
  fails("task.json must be a JSON object, got [1]");
  write(folder / "task.json", "{}");
  fails("task.json needs a member 'task'");
  write(folder / "task.json", R"({"task": "queens", "side": 2})");
  fails(
      "task.json: unknown task 'queens'. HINT: known are sudoku (Sudoku of side 4, 6 or 9), maze");
  write(folder / "task.json", R"({"task": "tokens"})");
  CHECK_FALSE(open_dataset(folder, "train").task().augmentation());
  write(folder / "identifiers.json", R"(["a", "b"])");
  fails("identifiers.json must be a list of as many names as there are puzzle ids (3), got");
  write(folder / "identifiers.json", R"(["a", "b", 3])");
  fails("must hold texts, got 3");
  fs::remove(folder / "identifiers.json");
  write(folder / "task.json", R"({"task": "maze", "side": 2})");
  fails("task.json does not fit the data: side, seq_len and vocab_size disagree");
  json task = {{"task", "sudoku"}, {"side", "4"}, {"box_rows", 2}, {"box_cols", 2}};
  write(folder / "task.json", task.dump());
  fails("task.json: 'side' must be a whole number in 1..1024, got \"4\"");
  task["side"] = 4;
  write(folder / "task.json", task.dump());
  fails("task.json does not fit the data");
  task["side"] = 16;
  write(folder / "task.json", task.dump());
  fails("side must be 4, 6 or 9, got 16");

  DataView tasks, variants, kinds;
  tasks.tasks = {"a"};
  variants.variants = 1;
  kinds.kinds = "all";
  for (const DataView& view : {tasks, variants, kinds})
    expect_error(
        [&] { open_dataset(folder, "train", view); },
        "[data] a choice of tasks or variants needs the compact ARC form, not " + folder.string());
}

TEST_CASE("data sets: a slash at the end of the folder, an empty one, one in a new place") {
  const TempDir dir;
  SudokuBuild build = small_build(60, 10);
  build_sudoku(build, dir.path() / "new" / "place" / "");
  CHECK(open_dataset(dir / "new/place", "test").num_examples() == 10);
  build.replace = true;
  build.test_count = 20;
  build_sudoku(build, dir.path() / "new" / "place" / "");
  CHECK(open_dataset(dir / "new/place", "test").num_examples() == 20);
  fs::create_directory(dir / "empty");
  build_sudoku(small_build(60, 10), dir / "empty");
  CHECK(open_dataset(dir / "empty", "test").num_examples() == 10);
  CHECK(dir.list() == std::vector<std::string>{"empty", "new"});

  // A folder of something else is not touched, not even by replacing.
  write(dir / "other/thesis.txt", "x");
  expect_error([&] { build_sudoku(build, dir / "other"); }, "HINT: choose another --out folder");
  CHECK(fs::exists(dir / "other/thesis.txt"));
  expect_error([&] { build_sudoku(build, ""); }, "needs a name");
  write(dir / "file", "x");
  expect_error([&] { build_sudoku(build, dir / "file/in"); }, "Not a directory");
}

TEST_CASE("data sets: a full disk leaves nothing new behind and the old one in place") {
  const TempDir dir;
  SudokuBuild build = small_build(300, 30);
  const auto fails = [&](const Path& out) {
    const FullDisk full(2000);
    expect_error([&] { build_sudoku(build, out); }, "File too large");
  };
  fails(dir / "d");
  CHECK(dir.list().empty());
  build_sudoku(build, dir / "d");
  const std::string before = read_file(dir / "d/train/all__inputs.npy");
  build.replace = true;
  build.seed = 1;
  fails(dir / "d");
  CHECK(dir.list() == std::vector<std::string>{"d"});
  CHECK(read_file(dir / "d/train/all__inputs.npy") == before);
  CHECK(open_dataset(dir / "d", "test").num_examples() == 30);
  build_sudoku(build, dir / "d");
  CHECK(read_file(dir / "d/train/all__inputs.npy") != before);
}

TEST_CASE("data sets: no test puzzles, stored copies, a random part of the training puzzles") {
  const TempDir dir;
  SudokuBuild build = small_build(100, 0);
  build_sudoku(build, dir / "none");
  CHECK(open_dataset(dir / "none", "test").num_examples() == 0);
  CHECK(eval_batch(open_dataset(dir / "none", "test"), 0, 4).rows == 0);

  build = small_build(200, 20);
  build.augment = 3;
  build.subsample_train = 50;
  const BuildSummary summary = build_sudoku(build, dir / "copies");
  CHECK(summary.train == 50 * 4);
  CHECK(summary.dropped >= 200 - 20 - 50);
  const PuzzleDataset data = open_dataset(dir / "copies", "train");
  CHECK(data.num_groups() == 50);
  CHECK(data.num_puzzles() == 200);
  std::set<std::string> classes;
  const auto symmetry = [&](const Example& e) {
    return symmetry_class(build.rules, from_tokens(e.inputs), from_tokens(e.labels));
  };
  std::set<Grid> generated;
  for (const SudokuPuzzle& p : generate_sudoku(build)) generated.insert(p.puzzle);
  for (int64_t g = 0; g < 50; ++g) {
    const auto [first, last] = data.group(g);
    REQUIRE(last - first == 4);
    const std::string name = symmetry(data.read(first));
    CHECK(generated.contains(from_tokens(data.read(first).inputs)));  // not a copy
    for (int64_t p = first; p < last; ++p) CHECK(symmetry(data.read(p)) == name);
    classes.insert(name);
  }
  CHECK(summary.train_classes == static_cast<int64_t>(classes.size()));

  build = small_build(100, 100);
  expect_error([&] { build_sudoku(build, dir / "x"); }, "HINT: more puzzles or a smaller --test");
  write(dir / "easy.txt", "1234341221434321\n");
  build.from = dir / "easy.txt";
  expect_error([&] { build_sudoku(build, dir / "x"); },
               "[sudoku] all 1 puzzles were needed for the test split. HINT: more puzzles");
  build.min_rating = 1;
  expect_error([&] { build_sudoku(build, dir / "x"); }, "no puzzle has a rating of 1 or more");
  CHECK_FALSE(fs::exists(dir / "x"));
}

TEST_CASE("sampler: every epoch every group once, one of its puzzles, all examples of that") {
  const TempDir dir;
  constexpr int kGroups = 30;
  write_tree(dir / "d", kGroups);
  const PuzzleDataset data = open_dataset(dir / "d", "train");
  TrainSampler sampler(data, 5, nullptr);
  std::map<std::pair<int64_t, int64_t>, int> drawn;  // (group, puzzle)
  std::map<std::vector<int64_t>, int> orders;        // of the examples of puzzles with three
  std::vector<std::vector<int64_t>> group_orders;
  constexpr int kEpochs = 300;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    std::vector<int64_t> groups;
    while (std::ssize(groups) < kGroups) {
      const auto first = values(sampler.next(1).inputs);
      std::vector<int64_t> order = {first[2]};
      for (int64_t e = 1; e <= first[1]; ++e) {  // puzzle p has p + 1 examples
        const auto more = values(sampler.next(1).inputs);
        REQUIRE(more[0] == first[0]);
        REQUIRE(more[1] == first[1]);
        order.push_back(more[2]);
      }
      REQUIRE(sampler.epoch() == epoch);
      groups.push_back(first[0]);
      ++drawn[{first[0], first[1]}];
      if (order.size() == 3) ++orders[order];
    }
    group_orders.push_back(groups);
    std::sort(groups.begin(), groups.end());
    for (int g = 0; g < kGroups; ++g) REQUIRE(groups[g] == g);
  }
  CHECK(std::set(group_orders.begin(), group_orders.end()).size() == kEpochs);
  for (const auto& [which, count] : drawn) {
    const double expected = static_cast<double>(kEpochs) / (which.first % 3 + 1);
    CHECK(std::abs(count - expected) < 60);
  }
  // 300 epochs x 10 groups with three puzzles / 3: about 1000 puzzles of three examples.
  CHECK(orders.size() == 6);
  for (const auto& [order, count] : orders) CHECK(std::abs(count - 167) < 60);
}

// Cut anywhere, also between the examples of a puzzle, the stream goes on as it would have.
void check_stream(const PuzzleDataset& data) {
  constexpr int64_t kRows = 250;  // several epochs
  TrainSampler whole(data, 9, data.task().augmentation());
  const Batch all = whole.next(kRows);
  CHECK(whole.epoch() >= 3);
  const auto same = [&](const Batch& part, int64_t start) {
    const int64_t end = start + part.inputs.size(0);
    CHECK((part.inputs.to_vector() == all.inputs.sliced(0, start, end).to_vector()));
    CHECK((part.labels.to_vector() == all.labels.sliced(0, start, end).to_vector()));
  };
  TrainSampler cut(data, 9, data.task().augmentation());
  int64_t at = 0;
  for (int64_t rows = 1; at + rows <= kRows; at += rows, rows = rows * 5 % 37) {
    const json state = json::parse(cut.state().dump());
    same(cut.next(rows), at);
    TrainSampler resumed(data, 9, data.task().augmentation());
    resumed.next(17);  // whatever came before does not matter
    resumed.restore(state);
    same(resumed.next(kRows - at), at);
  }
}

TEST_CASE("sampler: the stream does not depend on how it is cut, and goes on from any state") {
  const TempDir dir;
  build_sudoku(small_build(70, 10), dir / "d");
  const PuzzleDataset data = open_dataset(dir / "d", "train");
  check_stream(data);
  write_tree(dir / "tree", 9);
  check_stream(open_dataset(dir / "tree", "train"));
  TrainSampler cut(data, 9, data.task().augmentation()),
      other(data, 10, data.task().augmentation());
  CHECK((other.next(99).inputs.to_vector() != cut.next(99).inputs.to_vector()));

  const json good = cut.state();
  const auto fails = [&](const json& state, const char* message) {
    expect_error([&] { cut.restore(state); }, message);
  };
  fails(json::array(), "the saved position in the data must be a JSON object, got []");
  for (const auto& [key, value] : good.items()) {
    json bad = good;
    bad[key] = "x";
    fails(bad, "the saved position in the data");
    bad.erase(key);
    fails(bad, "the saved position in the data");
  }
  json bad = good;
  bad["group_cursor"] = data.num_groups() + 1;
  fails(bad, "does not fit this data set");
  bad = good;
  bad["pending"] = {data.num_examples()};
  fails(bad, "does not fit this data set");
  bad = good;
  bad["pending"] = {-1};
  fails(bad, "'pending' must hold whole numbers of at least 0, got -1");
  expect_error([&] { TrainSampler(open_dataset(dir / "d", "valid"), 1, nullptr); },
               "is not a data set");
}

TEST_CASE("sampler: an empty training split is an error; foreign data is not augmented") {
  const TempDir dir;
  DatasetInfo info;
  info.seq_len = 2;
  info.vocab_size = 4;
  DatasetWriter writer(dir / "d", info, Json::object(), false);
  expect_error([&] { writer.add("train", {1}, {1}, 0); }, "must have 2 tokens, got 1 and 1");
  expect_error([&] { writer.add("train", {1, 2}, {1}, 0); }, "must have 2 tokens, got 2 and 1");
  writer.add("test", {1, 2}, {2, 1}, 0);
  writer.finish();
  const PuzzleDataset train = open_dataset(dir / "d", "train");
  expect_error([&] { TrainSampler(train, 0, nullptr); }, "the training split of");
  CHECK_FALSE(train.task().augmentation());
}

TEST_CASE("evaluation batches cover the split once, in order") {
  const TempDir dir;
  write_tree(dir / "d", 10);
  const PuzzleDataset data = open_dataset(dir / "d", "train");
  const int64_t n = data.num_examples();
  int64_t rows = 0;
  for (int64_t start = 0; start < n; start += 7) {
    const Batch batch = eval_batch(data, start, 7);
    for (int64_t r = 0; r < batch.rows; ++r, ++rows) {
      const Example e = data.read(start + r);
      CHECK(values(batch.inputs.sliced(0, r, r + 1)) ==
            std::vector<int64_t>(e.inputs.begin(), e.inputs.end()));
      CHECK(batch.puzzle_ids.data<int32_t>()[r] == e.puzzle_id);
    }
    for (int64_t r = batch.rows; r < 7; ++r) CHECK(batch.puzzle_ids.data<int32_t>()[r] == 0);
  }
  CHECK(rows == n);
}

TEST_CASE("tokens: files as spreadsheets and other programs write them") {
  const TempDir dir;
  const auto build = [&](const std::string& text) {
    return build_tokens_text(text, "t.csv", dir / "t", true);
  };
  // A byte order mark, CRLF, comments, spare blanks, no newline at the end.
  CHECK(build("\xEF\xBB\xBFinputs,labels\r\n# note\r\n1  2 ,2 1\r\n\r\n3 4,4 300").train == 2);
  const PuzzleDataset data = open_dataset(dir / "t", "train");
  CHECK(data.info().vocab_size == 301);
  CHECK(data.read(1) == Example{{3, 4}, {4, 300}, 0});
  // Names are bytes; identifiers.json is text all the same.
  CHECK(build("puzzle,labels,inputs\n\xff,1,2\n\xff,2,1\nb,1,1\n").train == 3);
  const json names = json::parse(read_file(dir / "t/identifiers.json"));
  CHECK(names.size() == 3);
  CHECK(names[2] == "b");
  const PuzzleDataset named = open_dataset(dir / "t", "train");
  CHECK(named.read(0).puzzle_id == 1);
  CHECK(named.read(1).puzzle_id == 1);
  CHECK(named.read(2).puzzle_id == 2);
}

TEST_CASE("a data set is written beside its place: by one process, over nothing that is not ours") {
  const TempDir dir;
  DatasetInfo info;
  info.seq_len = 2;
  info.vocab_size = 4;
  const auto write = [&](DatasetWriter& writer) {
    writer.add("train", {1, 2}, {2, 3}, 0);
    writer.add("test", {1, 2}, {2, 3}, 0);
    writer.finish();
  };
  // A folder of the user that has the name of the temporary one.
  std::filesystem::create_directories(dir / "a.tmp");
  write_file_atomically(dir / "a.tmp" / "thesis", std::string("mine"));
  expect_error([&] { DatasetWriter(dir / "a", info, Json::object(), false); },
               "holds something else");
  CHECK(read_file(dir / "a.tmp" / "thesis") == "mine");
  std::filesystem::create_symlink(dir / "a.tmp", dir / "b.tmp");
  expect_error([&] { DatasetWriter(dir / "b", info, Json::object(), false); },
               "holds something else");
  // Two at a time.
  {
    DatasetWriter first(dir / "c", info, Json::object(), false);
    expect_error([&] { DatasetWriter(dir / "c", info, Json::object(), false); },
                 "is in use by process");
    write(first);
  }
  CHECK(open_dataset(dir / "c", "train").num_examples() == 1);
  CHECK_FALSE(std::filesystem::exists(dir / "c.tmp"));
  // What a killed call has left: half a new one, and the old one that was being replaced.
  std::filesystem::create_directories(dir / "c.tmp" / "new");
  std::filesystem::rename(dir / "c", dir / "c.tmp" / "old");
  expect_error([&] { DatasetWriter(dir / "c", info, Json::object(), false); }, "exists already");
  CHECK(open_dataset(dir / "c", "train").num_examples() == 1);
  CHECK_FALSE(std::filesystem::exists(dir / "c.tmp"));
  // What is replaced goes: not with a file of the user's in it.
  write_file_atomically(dir / "c" / "thesis", std::string("mine"));
  expect_error([&] { DatasetWriter(dir / "c", info, Json::object(), true); }, "also holds thesis");
  std::filesystem::remove(dir / "c" / "thesis");
  DatasetWriter again(dir / "c", info, Json::object(), true);
  write(again);
  CHECK(open_dataset(dir / "c", "train").num_examples() == 1);
}

TEST_CASE("a place where no data set can be, or tokens that do not fit one, are refused") {
  const TempDir dir;
  DatasetInfo info;
  info.seq_len = 2;
  info.vocab_size = 4;
  const auto writer = [&](const std::string& name) {
    return std::make_unique<DatasetWriter>(dir / name, info, Json::object(), false);
  };
  const std::string endless(300, 'x');
  expect_error([&] { writer(endless); },
               "[data] cannot write " + (dir / endless).string() + ": File name too long");
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  expect_error([&] { writer("pipe"); }, "[data] cannot look into " + (dir / "pipe").string());
  // A killed call has left the only copy, and a link that leads nowhere stands in its place.
  write(dir / "d.tmp/old/train/dataset.json", "{}");
  fs::create_symlink("nowhere", dir / "d");
  expect_error([&] { writer("d"); }, "[data] a call that was killed has left the data set in " +
                                         (dir / "d.tmp/old").string() +
                                         ", and it cannot be moved back to ");
  CHECK(fs::exists(dir / "d.tmp/old/train/dataset.json"));
  fs::remove(dir / "d");
  expect_error([&] { writer("d"); }, "exists already. HINT: --replace");
  CHECK(fs::exists(dir / "d/train/dataset.json"));

  const auto bytes = writer("bytes");
  const char* too_wide = "[data] tokens must be 0..255 in a data set of bytes";
  expect_error([&] { bytes->add("train", {1, 256}, {1, 2}, 0); }, too_wide);
  expect_error([&] { bytes->add("train", {-1, 1}, {1, 2}, 0); }, too_wide);
  expect_error([&] { bytes->add("train", {1, 2}, {1, kIgnoreLabel}, 0); }, too_wide);
  // Somebody puts a file where the other split will go.
  write(dir / "bytes.tmp/new/test", "");
  expect_error(
      [&] {
        bytes->add("test", {1, 2}, {1, 2}, 0);
      },
      "[data] cannot write " + (dir / "bytes").string() + ": Not a directory");
}

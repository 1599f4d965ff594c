// Data sets on disk: the official layout both ways, damage, replacement.
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "hrm/data/dataset_writer.h"
#include "hrm/data/sampler.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/tasks/tokens.h"
#include "tests/support/limits.h"
#include "tests/support/npy.h"
#include "tests/support/support.h"
#include "tests/support/tiny.h"

using namespace hrm;
using namespace hrm::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

template <class T>
void write_array(const Path& path, const char* descr, const std::string& shape,
                 const std::vector<T>& values) {
  write_text(path, npy(npy_header(descr, shape), raw(values)));
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
  write_text(split / "dataset.json", info.dump());
  write_array<int64_t>(split / (set + "__inputs.npy"), "<i8", "(3, 2)", {0, 1, 1, 2, 2, 3});
  write_array<int64_t>(split / (set + "__labels.npy"), "<i8", "(3, 2)", {1, 0, 2, 1, 3, 2});
  write_array<int64_t>(split / (set + "__puzzle_identifiers.npy"), "<i8", "(2,)", {1, 2});
  write_array<int64_t>(split / (set + "__puzzle_indices.npy"), "<i8", "(3,)", {0, 2, 3});
  write_array<int64_t>(split / (set + "__group_indices.npy"), "<i8", "(2,)", {0, 2});
}

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
  write_text(dir / "e" / "train" / "dataset.json", info.dump());
  const PuzzleDataset ignoring = open_dataset(dir / "e", "train");
  CHECK(ignoring.read(0).labels == std::vector<int32_t>{1, kIgnoreLabel});
  CHECK(ignoring.read(1).labels == std::vector<int32_t>{2, kIgnoreLabel});
}

namespace {

// A small data set that is damaged in one place after the other.
struct Damaged {
  const TempDir dir;
  const Path folder = dir / "d", train = folder / "train";

  Damaged() { write_small(folder, description(4)); }

  // Reading it is an error with this message. It is whole again afterwards.
  void fails(const std::string& message) const {
    expect_error([&] { open_dataset(folder, "train"); }, message);
    fs::remove_all(folder);
    write_small(folder, description(4));
  }
  // Gives a member of dataset.json another value.
  void with(const char* key, const json& value) const {
    json info = description(4);
    info[key] = value;
    write_text(train / "dataset.json", info.dump());
  }

  void miss_files() const;
  void miss_members() const;
  void hold_wrong_values() const;
  void hold_wrong_arrays() const;
  void hold_a_wrong_task() const;
  void refuse_views_of_arc() const;
};

void Damaged::miss_files() const {
  for (const char* name :
       {"inputs", "labels", "puzzle_identifiers", "puzzle_indices", "group_indices"}) {
    fs::remove(train / (std::string("all__") + name + ".npy"));
    fails(std::string("all__") + name + ".npy: No such file");
  }
}

void Damaged::miss_members() const {
  const json good = description(4);
  for (const auto& [key, value] : good.items()) {
    if (key == "ignore_label_id") continue;  // may be absent
    json info = good;
    info.erase(key);
    write_text(train / "dataset.json", info.dump());
    fails("dataset.json needs a member '" + key + "'");
    info[key] = json::object();
    write_text(train / "dataset.json", info.dump());
    fails("dataset.json: '" + key + "' must be a");
  }
}

void Damaged::hold_wrong_values() const {
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
}

void Damaged::hold_wrong_arrays() const {
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
}

void Damaged::hold_a_wrong_task() const {
  write_text(folder / "task.json", "[1]");
  fails("task.json must be a JSON object, got [1]");
  write_text(folder / "task.json", "{}");
  fails("task.json needs a member 'task'");
  write_text(folder / "task.json", R"({"task": "queens", "side": 2})");
  fails(
      "task.json: unknown task 'queens'. HINT: known are sudoku (Sudoku of side 4, 6 or 9), maze");
  write_text(folder / "task.json", R"({"task": "tokens"})");
  CHECK_FALSE(open_dataset(folder, "train").task().augmentation());
  write_text(folder / "identifiers.json", R"(["a", "b"])");
  fails("identifiers.json must be a list of as many names as there are puzzle ids (3), got");
  write_text(folder / "identifiers.json", R"(["a", "b", 3])");
  fails("must hold texts, got 3");
  fs::remove(folder / "identifiers.json");
  write_text(folder / "task.json", R"({"task": "maze", "side": 2})");
  fails("task.json does not fit the data: side, seq_len and vocab_size disagree");
  json task = {{"task", "sudoku"}, {"side", "4"}, {"box_rows", 2}, {"box_cols", 2}};
  write_text(folder / "task.json", task.dump());
  fails("task.json: 'side' must be a whole number in 1..1024, got \"4\"");
  task["side"] = 4;
  write_text(folder / "task.json", task.dump());
  fails("task.json does not fit the data");
  task["side"] = 16;
  write_text(folder / "task.json", task.dump());
  fails("task.json: side must be 4, 6 or 9, got 16");
}

void Damaged::refuse_views_of_arc() const {
  DataView tasks, variants, kinds;
  tasks.tasks = {"a"};
  variants.variants = 1;
  kinds.kinds = "all";
  for (const DataView& view : {tasks, variants, kinds})
    expect_error(
        [&] { open_dataset(folder, "train", view); },
        "[data] a choice of tasks or variants needs the compact ARC form, not " + folder.string());
}

}  // namespace

TEST_CASE("data sets: every disagreement between the files is an error that names the file") {
  const Damaged data;
  CHECK(open_dataset(data.folder, "train").num_examples() == 3);
  data.miss_files();
  data.miss_members();
  data.hold_wrong_values();
  data.hold_wrong_arrays();
  data.hold_a_wrong_task();
  data.refuse_views_of_arc();
}

TEST_CASE("data sets: a slash at the end of the folder, an empty one, one in a new place") {
  const TempDir dir;
  SudokuBuild build = tiny_sudoku(4, 60, 10);
  build_sudoku(build, dir.path() / "new" / "place" / "");
  CHECK(open_dataset(dir / "new/place", "test").num_examples() == 10);
  build.replace = true;
  build.test_count = 20;
  build_sudoku(build, dir.path() / "new" / "place" / "");
  CHECK(open_dataset(dir / "new/place", "test").num_examples() == 20);
  fs::create_directory(dir / "empty");
  build_sudoku(tiny_sudoku(4, 60, 10), dir / "empty");
  CHECK(open_dataset(dir / "empty", "test").num_examples() == 10);
  CHECK(dir.list() == std::vector<std::string>{"empty", "new"});

  // A folder of something else is not touched, not even by replacing.
  write_text(dir / "other/thesis.txt", "x");
  expect_error([&] { build_sudoku(build, dir / "other"); }, "HINT: choose another --out folder");
  CHECK(fs::exists(dir / "other/thesis.txt"));
  expect_error([&] { build_sudoku(build, ""); }, "needs a name");
  write_text(dir / "file", "x");
  expect_error([&] { build_sudoku(build, dir / "file/in"); }, "Not a directory");
}

TEST_CASE("data sets: a full disk leaves nothing new behind and the old one in place") {
  const TempDir dir;
  SudokuBuild build = tiny_sudoku(4, 300, 30);
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
  SudokuBuild build = tiny_sudoku(4, 100, 0);
  build_sudoku(build, dir / "none");
  CHECK(open_dataset(dir / "none", "test").num_examples() == 0);
  CHECK(eval_batch(open_dataset(dir / "none", "test"), 0, 4).rows == 0);

  build = tiny_sudoku(4, 200, 20);
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

  build = tiny_sudoku(4, 100, 100);
  expect_error([&] { build_sudoku(build, dir / "x"); }, "HINT: more puzzles or a smaller --test");
  write_text(dir / "easy.txt", "1234341221434321\n");
  build.from = {dir / "easy.txt"};
  expect_error([&] { build_sudoku(build, dir / "x"); },
               "[sudoku] all 1 puzzles were needed for the test split. HINT: more puzzles");
  build.min_rating = 1;
  expect_error([&] { build_sudoku(build, dir / "x"); }, "no puzzle has a rating of 1 or more");
  CHECK_FALSE(fs::exists(dir / "x"));
}

TEST_CASE("data sets: Sudoku from files and data sets, without the test puzzles of others") {
  const TempDir dir;
  SudokuBuild build = tiny_sudoku(4, 60, 20);
  build.augment = 2;
  build_sudoku(build, dir / "a");
  build = tiny_sudoku(4, 60, 20);
  build.seed = 7;
  build_sudoku(build, dir / "b");
  const auto puzzles = [&](const char* folder, const char* split) {
    std::set<std::string> texts, classes;
    const PuzzleDataset data = open_dataset(dir / folder, split);
    for (int64_t i = 0; i < data.num_examples(); ++i) {
      const Example e = data.read(i);
      texts.insert(format_sudoku(from_tokens(e.inputs)));
      classes.insert(data.task().symmetry_class(e.inputs, e.labels));
    }
    return std::pair{texts, classes};
  };
  // The training puzzles of `a` without their stored copies, and those of a file.
  const SudokuRules rules = SudokuRules::of_side(4);
  const std::vector<SudokuPuzzle> own = read_sudoku({dir / "a"}, rules);
  CHECK(own.size() == 40);
  std::string text;
  std::set<std::string> expected;
  for (const SudokuPuzzle& p : own) expected.insert(format_sudoku(p.puzzle));
  for (const std::string& p : puzzles("b", "test").first) text += p + "\n";
  write_text(dir / "b.txt", text);
  CHECK(read_sudoku({dir / "a", dir / "b.txt"}, rules, 5).size() == 10);

  SudokuBuild mixed = tiny_sudoku(4, 0, 0);
  mixed.from = {dir / "a", dir / "b.txt"};
  build_sudoku(mixed, dir / "mixed");
  CHECK(std::ranges::includes(puzzles("mixed", "train").first, expected));
  CHECK(puzzles("mixed", "train").first.size() > 40);
  // 4x4 has so few classes that `a` has some of the test of `b`, too.
  mixed.without = {dir / "b"};
  const BuildSummary summary = build_sudoku(mixed, dir / "left");
  CHECK(summary.dropped >= 20);
  const std::set<std::string> left = puzzles("left", "train").second;
  CHECK_FALSE(left.empty());
  for (const std::string& known : puzzles("b", "test").second) CHECK_FALSE(left.contains(known));

  // A data set of another program: a group without a puzzle, and a puzzle without an example.
  fs::create_directories(dir / "odd");
  fs::copy(dir / "b", dir / "odd", fs::copy_options::recursive);
  const auto boundaries = [&](const char* name, const std::vector<int32_t>& values) {
    write_npy(dir / "odd" / "train" / (std::string("all__") + name + "_indices.npy"),
              from_vector(values, {std::ssize(values)}));
  };
  boundaries("puzzle", {0, 5, 5, 40});
  boundaries("group", {0, 1, 1, 3, 3});
  write_npy(dir / "odd" / "train" / "all__puzzle_identifiers.npy", zeros({3}, DType::i32));
  CHECK(read_sudoku({dir / "odd"}, rules).size() == 2);

  mixed.from = {dir / "b.txt"};
  expect_error([&] { build_sudoku(mixed, dir / "x"); },
               "[sudoku] all 20 puzzles are symmetric to test puzzles of --without");
  mixed.rules = SudokuRules::of_side(6);
  mixed.from = {};
  mixed.count = 5;
  expect_error([&] { build_sudoku(mixed, dir / "x"); }, "the puzzle is 4x4, the data set 6x6");
  write_text(dir / "t.csv", "inputs,labels\n1 2,2 1\n");
  build_tokens_text(read_file(dir / "t.csv"), "t.csv", dir / "tokens", true);
  expect_error([&] { read_sudoku({dir / "tokens"}, rules); },
               "is not a data set of Sudoku puzzles");
  expect_error([&] { read_sudoku({dir / "a"}, SudokuRules::of_side(9)); },
               "the puzzle is 4x4, the data set 9x9");
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
  write_text(dir / "d.tmp/old/train/dataset.json", "{}");
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
  write_text(dir / "bytes.tmp/new/test", "");
  expect_error(
      [&] {
        bytes->add("test", {1, 2}, {1, 2}, 0);
      },
      "[data] cannot write " + (dir / "bytes").string() + ": Not a directory");
}

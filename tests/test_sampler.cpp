// The order in which training and evaluation take the examples of a data set.
#include <map>
#include <set>

#include "hrm/data/dataset_writer.h"
#include "hrm/data/sampler.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "tests/support/support.h"
#include "tests/support/tiny.h"

using namespace hrm;
using namespace hrm::test;
using nlohmann::json;

namespace {

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

// Cut anywhere, also between the examples of a puzzle, the stream goes on as it would have.
void check_stream(const PuzzleDataset& data) {
  constexpr int64_t kRows = 250;  // several epochs
  TrainSampler whole(data, 9, data.task().augmentation());
  const Batch all = whole.next(kRows);
  CHECK(whole.epoch() >= 3);
  const auto same = [&](const Batch& part, int64_t start) {
    const int64_t end = start + part.inputs.size(0);
    CHECK((part.inputs.to_vector() == all.inputs.slice(0, start, end).to_vector()));
    CHECK((part.labels.to_vector() == all.labels.slice(0, start, end).to_vector()));
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

}  // namespace

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

TEST_CASE("sampler: the stream does not depend on how it is cut, and goes on from any state") {
  const TempDir dir;
  build_sudoku(tiny_sudoku(4, 70, 10), dir / "d");
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
      CHECK(values(batch.inputs.slice(0, r, r + 1)) ==
            std::vector<int64_t>(e.inputs.begin(), e.inputs.end()));
      CHECK(batch.puzzle_ids.data<int32_t>()[r] == e.puzzle_id);
    }
    for (int64_t r = batch.rows; r < 7; ++r) CHECK(batch.puzzle_ids.data<int32_t>()[r] == 0);
  }
  CHECK(rows == n);
}

#include "hrm/data/puzzle_dataset.h"

#include <algorithm>
#include <numeric>

#include "hrm/data/sudoku.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

json load_json(const Path& path) {
  const std::string text = read_file(path);
  const json parsed = json::parse(text, nullptr, false);
  CHECK(parsed.is_object(), "[data] ", path.string(),
        " is not a JSON object. HINT: the file is "
        "truncated or damaged");
  return parsed;
}

template <class T>
T field(const json& from, const char* key, const Path& path) {
  try {
    return from.at(key).get<T>();
  } catch (const json::exception&) {
    detail::fail("[data] ", path.string(), " needs a valid '", key, "'");
  }
}

DatasetInfo read_info(const Path& path) {
  const json j = load_json(path);
  DatasetInfo info;
  info.seq_len = field<int64_t>(j, "seq_len", path);
  info.vocab_size = field<int64_t>(j, "vocab_size", path);
  info.pad_id = field<int64_t>(j, "pad_id", path);
  if (j.contains("ignore_label_id") && !j["ignore_label_id"].is_null())
    info.ignore_label_id = field<int64_t>(j, "ignore_label_id", path);
  info.blank_identifier_id = field<int64_t>(j, "blank_identifier_id", path);
  info.num_puzzle_identifiers = field<int64_t>(j, "num_puzzle_identifiers", path);
  info.total_groups = field<int64_t>(j, "total_groups", path);
  info.mean_puzzle_examples = field<double>(j, "mean_puzzle_examples", path);
  info.sets = field<std::vector<std::string>>(j, "sets", path);
  CHECK(info.seq_len > 0 && info.vocab_size > 0 && info.num_puzzle_identifiers > 0 &&
            !info.sets.empty(),
        "[data] ", path.string(),
        ": seq_len, vocab_size, num_puzzle_identifiers and sets must not "
        "be empty or negative");
  return info;
}

int32_t value_at(const Tensor& t, int64_t i) {
  return t.dtype() == DType::u8 ? t.data<uint8_t>()[i] : t.data<int32_t>()[i];
}

Tensor read_integers(const Path& path, int ndim) {
  const Tensor t = read_npy(path);
  CHECK(t.dtype() == DType::u8 || t.dtype() == DType::i32, "[data] ", path.string(),
        " must hold integers, got ", t.dtype());
  CHECK(t.ndim() == ndim, "[data] ", path.string(), " must have ", ndim, " dimensions, got shape ",
        t.shape());
  return t;
}

// Boundaries 0 = b[0] <= b[1] <= ... = total.
std::vector<int64_t> read_boundaries(const Path& path, int64_t total) {
  const Tensor t = read_integers(path, 1);
  std::vector<int64_t> b(t.numel());
  for (int64_t i = 0; i < t.numel(); ++i) b[i] = value_at(t, i);
  CHECK(!b.empty() && b.front() == 0 && b.back() == total && std::is_sorted(b.begin(), b.end()),
        "[data] ", path.string(), " must ascend from 0 to ", total);
  return b;
}

}  // namespace

PuzzleDataset::PuzzleDataset(const Path& folder, const std::string& split) : folder_(folder) {
  const Path root = folder / split, description = root / "dataset.json";
  CHECK(fs::exists(description), "[data] ", folder.string(), " is not a data set: there is no ",
        description.string(), ". HINT: `hrm data sudoku --out ", folder.string(), "` makes one");
  info_ = read_info(description);
  const Path task = folder / "task.json";
  if (fs::exists(task)) {
    const json j = load_json(task);
    task_.task = field<std::string>(j, "task", task);
    task_.side = j.value("side", 0);
    task_.box_rows = j.value("box_rows", 0), task_.box_cols = j.value("box_cols", 0);
    CHECK(task_.task != "sudoku" ||
              (task_.box_rows > 0 && task_.box_rows * task_.box_cols == task_.side &&
               info_.seq_len == task_.side * task_.side && info_.vocab_size == task_.side + 2),
          "[data] ", task.string(),
          " does not fit the data: side, boxes, seq_len and vocab_size "
          "disagree");
  }
  puzzle_begin_ = {0}, group_begin_ = {0};
  where_.push_back({});
  for (const std::string& set : info_.sets) load_set(root, set);
}

void PuzzleDataset::load_set(const Path& split, const std::string& name) {
  const auto file = [&](const char* what) { return split / (name + "__" + what + ".npy"); };
  Set set;
  set.inputs = read_integers(file("inputs"), 2);
  set.labels = read_integers(file("labels"), 2);
  const Tensor ids = read_integers(file("puzzle_identifiers"), 1);
  const int64_t n = set.inputs.size(0), first = where_.back().first_example;
  CHECK(set.inputs.shape() == set.labels.shape() && set.inputs.size(1) == info_.seq_len, "[data] ",
        file("inputs").string(), " and labels must both be [n, ", info_.seq_len, "], got ",
        set.inputs.shape(), " and ", set.labels.shape());
  const std::vector<int64_t> puzzles = read_boundaries(file("puzzle_indices"), n);
  CHECK(ids.numel() + 1 == static_cast<int64_t>(puzzles.size()), "[data] ",
        file("puzzle_identifiers").string(), " must have one entry a puzzle (", puzzles.size() - 1,
        "), got ", ids.numel());
  const std::vector<int64_t> groups =
      read_boundaries(file("group_indices"), static_cast<int64_t>(puzzles.size()) - 1);

  const auto check_tokens = [&](const Tensor& t, const char* what, bool label) {
    for (int64_t i = 0; i < t.numel(); ++i) {
      const int32_t v = value_at(t, i);
      CHECK((v >= 0 && v < info_.vocab_size) || (label && v == kIgnoreLabel), "[data] ",
            file(what).string(), ": row ", i / info_.seq_len, " holds token ", v,
            ", vocab_size is ", info_.vocab_size);
    }
  };
  check_tokens(set.inputs, "inputs", false);
  check_tokens(set.labels, "labels", true);
  const auto base_puzzle = static_cast<int64_t>(puzzle_id_.size());
  for (int64_t p = 0; p < ids.numel(); ++p) {
    const int32_t id = value_at(ids, p);
    CHECK(id >= 0 && id < info_.num_puzzle_identifiers, "[data] ",
          file("puzzle_identifiers").string(), ": entry ", p, " is ", id,
          ", num_puzzle_identifiers is ", info_.num_puzzle_identifiers);
    puzzle_id_.push_back(id);
    puzzle_begin_.push_back(first + puzzles[p + 1]);
    for (int64_t e = puzzles[p]; e < puzzles[p + 1]; ++e)
      example_puzzle_.push_back(static_cast<int32_t>(base_puzzle + p));
  }
  for (size_t g = 1; g < groups.size(); ++g) group_begin_.push_back(base_puzzle + groups[g]);
  // The last entry of where_ is a sentinel that holds the total.
  set.first_example = first;
  where_.back() = set;
  where_.push_back({{}, {}, first + n});
}

void PuzzleDataset::read(int64_t i, int32_t* inputs, int32_t* labels, int32_t* puzzle_id) const {
  size_t s = 0;
  while (i >= where_[s + 1].first_example) ++s;
  const int64_t row = (i - where_[s].first_example) * info_.seq_len;
  for (int64_t k = 0; k < info_.seq_len; ++k) {
    inputs[k] = value_at(where_[s].inputs, row + k);
    labels[k] = value_at(where_[s].labels, row + k);
    if (info_.ignore_label_id && labels[k] == *info_.ignore_label_id) labels[k] = kIgnoreLabel;
  }
  *puzzle_id = puzzle_id_[example_puzzle_[i]];
}

Augmentation augmentation_of(const PuzzleDataset& dataset) {
  if (dataset.task().task != "sudoku") return nullptr;
  const TaskInfo& t = dataset.task();
  const SudokuRules rules{t.side, t.box_rows, t.box_cols};
  return [rules](int32_t* inputs, int32_t* labels, Random& random) {
    const SudokuTransform transform = SudokuTransform::draw(rules, random);
    transform.apply_tokens(inputs);
    transform.apply_tokens(labels);
  };
}

TrainSampler::TrainSampler(const PuzzleDataset& dataset, uint64_t seed, Augmentation augmentation)
    : dataset_(dataset), augmentation_(std::move(augmentation)), seed_(seed) {
  CHECK(dataset.num_examples() > 0, "[data] the training split of ", dataset.folder().string(),
        " is empty");
  begin_epoch(0);
}

void TrainSampler::begin_epoch(int64_t epoch) {
  epoch_ = epoch;
  group_cursor_ = 0;
  Random shuffle = Random(seed_).fork("shuffle").fork(static_cast<uint64_t>(epoch));
  random_ = Random(seed_).fork("examples").fork(static_cast<uint64_t>(epoch));
  group_order_.resize(dataset_.num_groups());
  std::iota(group_order_.begin(), group_order_.end(), 0);
  shuffle.shuffle(group_order_);
}

int64_t TrainSampler::next_example() {
  while (pending_.empty()) {
    if (group_cursor_ == static_cast<int64_t>(group_order_.size())) begin_epoch(epoch_ + 1);
    const auto [first, last] = dataset_.group(group_order_[group_cursor_++]);
    if (first == last) continue;
    const auto [begin, end] = dataset_.puzzle(first + random_.below(last - first));
    pending_.resize(end - begin);
    std::iota(pending_.begin(), pending_.end(), begin);
    random_.shuffle(pending_);
  }
  const int64_t example = pending_.back();
  pending_.pop_back();
  return example;
}

Batch TrainSampler::next(int64_t rows) {
  const int64_t seq = dataset_.info().seq_len;
  Batch batch{empty({rows, seq}, DType::i32), empty({rows, seq}, DType::i32),
              empty({rows}, DType::i32), rows};
  for (int64_t r = 0; r < rows; ++r) {
    int32_t* inputs = batch.inputs.data<int32_t>() + r * seq;
    int32_t* labels = batch.labels.data<int32_t>() + r * seq;
    dataset_.read(next_example(), inputs, labels, batch.puzzle_ids.data<int32_t>() + r);
    if (augmentation_) augmentation_(inputs, labels, random_);
  }
  return batch;
}

json TrainSampler::state() const {
  return {{"epoch", epoch_},
          {"group_cursor", group_cursor_},
          {"position", random_.position()},
          {"pending", pending_}};
}

void TrainSampler::restore(const json& state) {
  begin_epoch(state.at("epoch").get<int64_t>());
  group_cursor_ = state.at("group_cursor").get<int64_t>();
  random_ = Random(random_.seed(), state.at("position").get<uint64_t>());
  pending_ = state.at("pending").get<std::vector<int64_t>>();
  const auto groups = static_cast<int64_t>(group_order_.size());
  CHECK(group_cursor_ >= 0 && group_cursor_ <= groups &&
            std::all_of(pending_.begin(), pending_.end(),
                        [&](int64_t e) { return e >= 0 && e < dataset_.num_examples(); }),
        "[data] the saved position does not fit this data set. HINT: was the data set rebuilt?");
}

Batch eval_batch(const PuzzleDataset& dataset, int64_t start, int64_t rows) {
  const int64_t seq = dataset.info().seq_len;
  Batch batch;
  batch.inputs = full({rows, seq}, static_cast<double>(dataset.info().pad_id), DType::i32);
  batch.labels = full({rows, seq}, kIgnoreLabel, DType::i32);
  batch.puzzle_ids =
      full({rows}, static_cast<double>(dataset.info().blank_identifier_id), DType::i32);
  batch.rows = std::clamp<int64_t>(dataset.num_examples() - start, 0, rows);
  for (int64_t r = 0; r < batch.rows; ++r)
    dataset.read(start + r, batch.inputs.data<int32_t>() + r * seq,
                 batch.labels.data<int32_t>() + r * seq, batch.puzzle_ids.data<int32_t>() + r);
  return batch;
}

DatasetWriter::DatasetWriter(Path folder, DatasetInfo info, TaskInfo task, bool replace)
    : folder_(std::move(folder)), info_(std::move(info)), task_(std::move(task)) {
  if (!fs::exists(folder_) || fs::is_empty(folder_)) return;
  const bool is_dataset = fs::exists(folder_ / "train" / "dataset.json");
  CHECK(replace && is_dataset, "[data] ", folder_.string(), " exists already. HINT: ",
        is_dataset ? "--replace writes it anew" : "choose another --out folder");
}

void DatasetWriter::add(const std::string& split, const std::vector<int>& inputs,
                        const std::vector<int>& labels, int64_t group, int32_t puzzle_id) {
  CHECK(static_cast<int64_t>(inputs.size()) == info_.seq_len && inputs.size() == labels.size(),
        "[data] an example must have ", info_.seq_len, " tokens, got ", inputs.size(), " and ",
        labels.size());
  Split& s = split == "train" ? train_ : test_;
  s.inputs.insert(s.inputs.end(), inputs.begin(), inputs.end());
  s.labels.insert(s.labels.end(), labels.begin(), labels.end());
  s.puzzle_ids.push_back(puzzle_id);
  if (group != s.last_group) s.group_begin.push_back(static_cast<int32_t>(s.examples));
  s.last_group = group;
  ++s.examples;
}

int64_t DatasetWriter::count(const std::string& split) const {
  return (split == "train" ? train_ : test_).examples;
}

void DatasetWriter::write_split(const Path& folder, const Split& split) const {
  fs::create_directories(folder);
  const int64_t n = split.examples;
  std::vector<int32_t> groups = split.group_begin;
  groups.push_back(static_cast<int32_t>(n));
  const bool narrow = info_.vocab_size <= 256 && std::find(split.labels.begin(), split.labels.end(),
                                                           kIgnoreLabel) == split.labels.end();
  const auto tokens = [&](const std::vector<int32_t>& values) {
    const Tensor t = from_vector(values, {n, info_.seq_len});
    return narrow ? t.to(DType::u8) : t;
  };
  write_npy(folder / "all__inputs.npy", tokens(split.inputs));
  write_npy(folder / "all__labels.npy", tokens(split.labels));
  write_npy(folder / "all__puzzle_identifiers.npy", from_vector(split.puzzle_ids, {n}));
  write_npy(folder / "all__puzzle_indices.npy", arange(n + 1));
  write_npy(folder / "all__group_indices.npy",
            from_vector(groups, {static_cast<int64_t>(groups.size())}));
  nlohmann::ordered_json j = {{"pad_id", info_.pad_id},
                              {"ignore_label_id", nullptr},
                              {"blank_identifier_id", info_.blank_identifier_id},
                              {"vocab_size", info_.vocab_size},
                              {"seq_len", info_.seq_len},
                              {"num_puzzle_identifiers", info_.num_puzzle_identifiers},
                              {"total_groups", groups.size() - 1},
                              {"mean_puzzle_examples", 1.0},
                              {"sets", {"all"}}};
  if (info_.ignore_label_id) j["ignore_label_id"] = *info_.ignore_label_id;
  write_file_atomically(folder / "dataset.json", j.dump() + "\n");
}

void DatasetWriter::finish(const std::vector<std::string>& identifiers) {
  const Path temporary = folder_.string() + ".tmp";
  try {
    fs::remove_all(temporary);
    write_split(temporary / "train", train_);
    write_split(temporary / "test", test_);
    write_file_atomically(temporary / "identifiers.json", json(identifiers).dump() + "\n");
    if (!task_.task.empty()) {
      nlohmann::ordered_json j = {{"task", task_.task}};
      if (task_.side)
        j["side"] = task_.side, j["box_rows"] = task_.box_rows, j["box_cols"] = task_.box_cols;
      write_file_atomically(temporary / "task.json", j.dump() + "\n");
    }
    fs::remove_all(folder_);
    fs::rename(temporary, folder_);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    detail::fail("[data] cannot write ", folder_.string(), ": ", error.code().message());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

}  // namespace hrm

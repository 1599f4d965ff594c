#include "hrm/data/puzzle_dataset.h"

#include <algorithm>
#include <numeric>

#include "hrm/support/text.h"
#include "hrm/tasks/arc_dataset.h"
#include "hrm/tasks/maze.h"
#include "hrm/tasks/sudoku.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMostTokens = 1 << 20;  // of a puzzle
constexpr int64_t kMostWords = 1 << 24;   // of a vocabulary
constexpr int64_t kMostPuzzles = std::numeric_limits<int32_t>::max();

// The names of sets become parts of the names of files.
std::vector<std::string> set_names(const Members& json) {
  std::vector<std::string> names;
  for (const Json& name : json.list("sets")) {
    const std::string text = name.is_string() ? name.get<std::string>() : "";
    CHECK(!text.empty() && text.size() <= 100 && text.find('/') == std::string::npos &&
              printable(text) == text,
          "[data] ", json.source(), ": 'sets' must hold parts of file names, got ", brief(name));
    names.push_back(text);
  }
  CHECK(!names.empty(), "[data] ", json.source(), ": 'sets' must not be empty");
  return names;
}

DatasetInfo read_info(const Path& path) {
  const Json top = read_json(path);
  const Members json(top, path.string());
  DatasetInfo info;
  info.seq_len = json.integer("seq_len", 1, kMostTokens);
  info.vocab_size = json.integer("vocab_size", 1, kMostWords);
  info.pad_id = json.integer("pad_id", 0, info.vocab_size - 1);
  if (json.has("ignore_label_id"))
    info.ignore_label_id = json.integer("ignore_label_id", std::numeric_limits<int32_t>::min(),
                                        std::numeric_limits<int32_t>::max());
  info.num_puzzle_identifiers = json.integer("num_puzzle_identifiers", 1, kMostPuzzles);
  info.blank_identifier_id =
      json.integer("blank_identifier_id", 0, info.num_puzzle_identifiers - 1);
  info.total_groups = json.integer("total_groups", 0, kMostPuzzles);
  info.mean_puzzle_examples =
      json.number("mean_puzzle_examples", 0, std::numeric_limits<double>::max());
  info.sets = set_names(json);
  return info;
}

TaskInfo read_task(const Path& path, const DatasetInfo& info) {
  const Json top = read_json(path);
  const Members json(top, path.string());
  TaskInfo task;
  task.task = json.text("task");
  CHECK(std::ranges::find(kTaskKinds, task.task) != std::end(kTaskKinds), "[data] ", path.string(),
        ": unknown task '", task.task,
        "'. HINT: sudoku and maze are known by their rules; \"tokens\" is any other task");
  if (task.task == "tokens") return task;
  task.side = static_cast<int>(json.integer("side", 1, kLargestSide));
  if (task.task == "maze") {
    CHECK(task.side * task.side == info.seq_len && info.vocab_size == kMazeVocab, "[data] ",
          path.string(), " does not fit the data: side, seq_len and vocab_size disagree");
    return task;
  }
  task.box_rows = static_cast<int>(json.integer("box_rows", 1, kLargestSide));
  task.box_cols = static_cast<int>(json.integer("box_cols", 1, kLargestSide));
  const SudokuRules rules = SudokuRules::of_side(task.side);
  CHECK(task.box_rows == rules.box_rows && task.box_cols == rules.box_cols &&
            info.seq_len == rules.cells() && info.vocab_size == rules.side + 2,
        "[data] ", path.string(),
        " does not fit the data: side, boxes, seq_len and vocab_size disagree");
  return task;
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
  CHECK(!b.empty() && b.front() == 0 && b.back() == total && std::ranges::is_sorted(b), "[data] ",
        path.string(), " must ascend from 0 to ", total);
  return b;
}

}  // namespace

std::vector<std::string> parse_identifiers(const Json& json, const std::string& source,
                                           int64_t count) {
  CHECK(json.is_array() && std::ssize(json) == count, "[data] ", source,
        " must be a list of as many names as there are puzzle ids (", count, "), got ",
        brief(json));
  std::vector<std::string> names;
  for (const Json& name : json) {
    CHECK(name.is_string(), "[data] ", source, " must hold texts, got ", brief(name));
    names.push_back(name.get<std::string>());
  }
  return names;
}

PuzzleDataset::PuzzleDataset(const Path& folder, const std::string& split, const DataView& view,
                             const PuzzleDataset* other)
    : folder_(folder), conditioning_(view.conditioning) {
  if (fs::exists(folder / kArcFile)) {
    arc_ = std::make_shared<ArcExamples>(read_arc_data(folder / kArcFile), split, view,
                                         other ? other->arc() : nullptr);
    show_arc();
    return;
  }
  const Path root = folder / split, description = root / "dataset.json";
  CHECK(fs::exists(description), "[data] ", folder.string(), " is not a data set: there is no ",
        description.string(),
        fs::exists(folder) ? ". HINT: give a folder that `hrm data` has made"
                           : ". HINT: `hrm help data` says how to make one");
  CHECK(conditioning_ == Conditioning::variant || conditioning_ == Conditioning::blank,
        "[data] conditioning ", to_string(conditioning_), " needs the compact ARC form, not ",
        folder.string(), ". HINT: `hrm data arc --out ...`");
  CHECK(view.tasks.empty() && !view.variants && !view.kinds,
        "[data] a choice of tasks or variants needs the compact ARC form, not ", folder.string());
  info_ = read_info(description);
  if (fs::exists(folder / "task.json")) task_ = read_task(folder / "task.json", info_);
  input_len_ = info_.seq_len;
  const Path names = folder / "identifiers.json";
  if (fs::exists(names) && info_.num_puzzle_identifiers > 1)
    names_ = parse_identifiers(read_json(names), names.string(), info_.num_puzzle_identifiers);
  for (const std::string& set : info_.sets) load_set(root, set);
  if (conditioning_ == Conditioning::blank) info_.num_puzzle_identifiers = 1, names_.clear();
}

PuzzleDataset::PuzzleDataset(std::shared_ptr<const ArcExamples> arc, Path folder)
    : folder_(std::move(folder)), arc_(std::move(arc)) {
  show_arc();
}

void PuzzleDataset::show_arc() {
  const int64_t side = arc_->side();
  task_.task = "arc", task_.side = static_cast<int>(side);
  info_.seq_len = side * side, info_.vocab_size = kArcVocab;
  info_.num_puzzle_identifiers = arc_->num_ids();
  input_len_ = arc_->input_len();
  arc_->boundaries(puzzle_begin_, group_begin_);
  info_.total_groups = num_groups();
  info_.mean_puzzle_examples =
      num_puzzles() ? static_cast<double>(num_examples()) / static_cast<double>(num_puzzles()) : 1;
}

std::string PuzzleDataset::puzzle_name(int64_t id) const {
  if (arc_) return arc_->id_name(id);
  return id < std::ssize(names_) ? names_[id] : "";
}

std::vector<uint64_t> PuzzleDataset::puzzle_names() const {
  if (!arc_ && names_.empty()) return {};
  std::vector<uint64_t> hashes(info_.num_puzzle_identifiers);
#pragma omp parallel for
  for (int64_t id = 0; id < info_.num_puzzle_identifiers; ++id)
    hashes[id] = name_hash(puzzle_name(id));
  return hashes;
}

void PuzzleDataset::load_set(const Path& split, const std::string& name) {
  const auto file = [&](const char* what) { return split / (name + "__" + what + ".npy"); };
  Set set;
  set.inputs = read_integers(file("inputs"), 2);
  set.labels = read_integers(file("labels"), 2);
  const Tensor ids = read_integers(file("puzzle_identifiers"), 1);
  const int64_t n = set.inputs.size(0), first = std::ssize(example_puzzle_);
  CHECK(set.inputs.shape() == set.labels.shape() && set.inputs.size(1) == info_.seq_len, "[data] ",
        file("inputs").string(), " and labels must both be [n, ", info_.seq_len, "], got ",
        set.inputs.shape(), " and ", set.labels.shape());
  const std::vector<int64_t> puzzles = read_boundaries(file("puzzle_indices"), n);
  CHECK(ids.numel() + 1 == std::ssize(puzzles), "[data] ", file("puzzle_identifiers").string(),
        " must have one entry a puzzle (", puzzles.size() - 1, "), got ", ids.numel());
  const std::vector<int64_t> groups =
      read_boundaries(file("group_indices"), std::ssize(puzzles) - 1);

  const auto check_tokens = [&](const Tensor& t, const char* what, bool label) {
    for (int64_t i = 0; i < t.numel(); ++i) {
      const int32_t v = value_at(t, i);
      const bool ignored = label && (v == kIgnoreLabel || v == info_.ignore_label_id);
      CHECK((v >= 0 && v < info_.vocab_size) || ignored, "[data] ", file(what).string(), ": row ",
            i / info_.seq_len, " holds token ", v, ", vocab_size is ", info_.vocab_size);
    }
  };
  check_tokens(set.inputs, "inputs", false);
  check_tokens(set.labels, "labels", true);
  const int64_t base_puzzle = std::ssize(puzzle_id_);
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
  set.first_example = first;
  sets_.push_back(set);
}

std::string PuzzleDataset::identity() const {
  std::string text;  // the checksums of the parts
  const auto add = [&](std::span<const std::byte> bytes) {
    text += std::to_string(checksum(bytes)) + " ";
  };
  if (arc_) {
    const std::string tasks = arc_data_text(arc_->data());
    add(std::as_bytes(std::span(tasks)));
  }
  for (const Set& set : sets_)
    for (const Tensor* t : {&set.inputs, &set.labels})
      add({static_cast<const std::byte*>(t->data()), t->nbytes()});
  add(std::as_bytes(std::span(puzzle_begin_)));
  add(std::as_bytes(std::span(group_begin_)));
  add(std::as_bytes(std::span(puzzle_id_)));
  for (const int64_t number : {info_.seq_len, info_.vocab_size, info_.pad_id,
                               info_.ignore_label_id.value_or(-1), info_.blank_identifier_id})
    text += std::to_string(number) + " ";
  text += task_.task;
  return hexadecimal(checksum(std::as_bytes(std::span(text))));
}

void PuzzleDataset::read(int64_t i, int32_t* inputs, int32_t* labels, int32_t* puzzle_id) const {
  if (arc_) return arc_->read(i, inputs, labels, puzzle_id);
  auto set = sets_.rbegin();
  while (i < set->first_example) ++set;
  const int64_t row = (i - set->first_example) * info_.seq_len;
  for (int64_t k = 0; k < info_.seq_len; ++k) {
    inputs[k] = value_at(set->inputs, row + k);
    labels[k] = value_at(set->labels, row + k);
    if (info_.ignore_label_id && labels[k] == *info_.ignore_label_id) labels[k] = kIgnoreLabel;
  }
  *puzzle_id = conditioning_ == Conditioning::blank ? 0 : puzzle_id_[example_puzzle_[i]];
}

Augmentation augmentation_of(const PuzzleDataset& dataset) {
  const TaskInfo& t = dataset.task();
  if (t.task == "sudoku") {
    const SudokuRules rules{t.side, t.box_rows, t.box_cols};
    return [rules](int32_t* inputs, int32_t* labels, bool, Random& random) {
      const SudokuTransform transform = SudokuTransform::draw(rules, random);
      transform.apply_tokens(inputs);
      transform.apply_tokens(labels);
    };
  }
  if (t.task == "maze") return maze_augmentation(t.side);
  return dataset.arc() ? dataset.arc()->augmentation() : nullptr;
}

}  // namespace hrm

#include "hrm/data/array_examples.h"

#include <algorithm>
#include <limits>
#include <span>

#include <nlohmann/json.hpp>

#include "hrm/support/text.h"

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
    HRM_CHECK(!text.empty() && text.size() <= 100 && text.find('/') == std::string::npos &&
                  printable(text) == text,
              "[data] ", json.source(), ": 'sets' must hold parts of file names, got ",
              brief(name));
    names.push_back(text);
  }
  HRM_CHECK(!names.empty(), "[data] ", json.source(), ": 'sets' must not be empty");
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

int32_t value_at(const Tensor& t, int64_t i) {
  return t.dtype() == DType::u8 ? t.data<uint8_t>()[i] : t.data<int32_t>()[i];
}

Tensor read_integers(const Path& path, int ndim) {
  const Tensor t = read_npy(path);
  HRM_CHECK(t.dtype() == DType::u8 || t.dtype() == DType::i32, "[data] ", path.string(),
            " must hold integers, got ", t.dtype());
  HRM_CHECK(t.ndim() == ndim, "[data] ", path.string(), " must have ", ndim,
            " dimensions, got shape ", t.shape());
  return t;
}

// Boundaries 0 = b[0] <= b[1] <= ... = total.
std::vector<int64_t> read_boundaries(const Path& path, int64_t total) {
  const Tensor t = read_integers(path, 1);
  std::vector<int64_t> b(t.numel());
  for (int64_t i = 0; i < t.numel(); ++i) b[i] = value_at(t, i);
  HRM_CHECK(!b.empty() && b.front() == 0 && b.back() == total && std::ranges::is_sorted(b),
            "[data] ", path.string(), " must ascend from 0 to ", total);
  return b;
}

}  // namespace

std::vector<std::string> parse_identifiers(const Json& json, const std::string& source,
                                           int64_t count) {
  HRM_CHECK(json.is_array() && std::ssize(json) == count, "[data] ", source,
            " must be a list of as many names as there are puzzle ids (", count, "), got ",
            brief(json));
  std::vector<std::string> names;
  for (const Json& name : json) {
    HRM_CHECK(name.is_string(), "[data] ", source, " must hold texts, got ", brief(name));
    names.push_back(name.get<std::string>());
  }
  return names;
}

ArrayExamples::ArrayExamples(const Path& folder, const std::string& split,
                             Conditioning conditioning, std::shared_ptr<const Task> task)
    : task_(std::move(task)), blank_ids_(conditioning == Conditioning::blank) {
  const Path root = folder / split, description = root / "dataset.json";
  HRM_CHECK(fs::exists(description), "[data] ", folder.string(), " is not a data set: there is no ",
            description.string(),
            fs::exists(folder) ? ". HINT: give a folder that `hrm data` has made"
                               : ". HINT: `hrm help data` says how to make one");
  HRM_CHECK(conditioning == Conditioning::variant || blank_ids_, "[data] conditioning ",
            to_string(conditioning), " needs the compact ARC form, not ", folder.string(),
            ". HINT: `hrm data arc --out ...`");
  info_ = read_info(description);
  HRM_CHECK(task_->fits(info_.seq_len, info_.vocab_size), "[data] ",
            (folder / "task.json").string(),
            " does not fit the data: side, seq_len and vocab_size disagree");
  const Path names = folder / "identifiers.json";
  if (fs::exists(names) && info_.num_puzzle_identifiers > 1)
    names_ = parse_identifiers(read_json(names), names.string(), info_.num_puzzle_identifiers);
  for (const std::string& set : info_.sets) load_set(root, set);
  if (blank_ids_) {
    info_.num_puzzle_identifiers = 1;
    names_.clear();
  }
}

std::string ArrayExamples::puzzle_name(int64_t id) const {
  return id < std::ssize(names_) ? names_[id] : "";
}

void ArrayExamples::load_set(const Path& split, const std::string& name) {
  const auto file = [&](const char* what) { return split / (name + "__" + what + ".npy"); };
  Set set;
  set.inputs = read_integers(file("inputs"), 2);
  set.labels = read_integers(file("labels"), 2);
  const Tensor ids = read_integers(file("puzzle_identifiers"), 1);
  const int64_t n = set.inputs.size(0), first = std::ssize(example_puzzle_);
  HRM_CHECK(set.inputs.shape() == set.labels.shape() && set.inputs.size(1) == info_.seq_len,
            "[data] ", file("inputs").string(), " and labels must both be [n, ", info_.seq_len,
            "], got ", set.inputs.shape(), " and ", set.labels.shape());
  const std::vector<int64_t> puzzles = read_boundaries(file("puzzle_indices"), n);
  HRM_CHECK(ids.numel() + 1 == std::ssize(puzzles), "[data] ", file("puzzle_identifiers").string(),
            " must have one entry a puzzle (", puzzles.size() - 1, "), got ", ids.numel());
  const std::vector<int64_t> groups =
      read_boundaries(file("group_indices"), std::ssize(puzzles) - 1);

  check_tokens(set.inputs, file("inputs"), false);
  check_tokens(set.labels, file("labels"), true);
  const int64_t base_puzzle = std::ssize(puzzle_id_);
  for (int64_t p = 0; p < ids.numel(); ++p) {
    const int32_t id = value_at(ids, p);
    HRM_CHECK(id >= 0 && id < info_.num_puzzle_identifiers, "[data] ",
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

void ArrayExamples::check_tokens(const Tensor& tokens, const Path& file, bool labels) const {
  for (int64_t i = 0; i < tokens.numel(); ++i) {
    const int32_t v = value_at(tokens, i);
    const bool ignored = labels && (v == kIgnoreLabel || v == info_.ignore_label_id);
    HRM_CHECK((v >= 0 && v < info_.vocab_size) || ignored, "[data] ", file.string(), ": row ",
              i / info_.seq_len, " holds token ", v, ", vocab_size is ", info_.vocab_size);
  }
}

std::string ArrayExamples::checksums() const {
  std::string text;
  const auto add = [&](std::span<const std::byte> bytes) {
    text += std::to_string(checksum(bytes)) + " ";
  };
  for (const Set& set : sets_)
    for (const Tensor* t : {&set.inputs, &set.labels})
      add({static_cast<const std::byte*>(t->data()), t->nbytes()});
  add(std::as_bytes(std::span(puzzle_begin_)));
  add(std::as_bytes(std::span(group_begin_)));
  add(std::as_bytes(std::span(puzzle_id_)));
  return text;
}

Example ArrayExamples::read(int64_t i) const {
  auto set = sets_.rbegin();
  while (i < set->first_example) ++set;
  const int64_t row = (i - set->first_example) * info_.seq_len;
  Example example;
  example.inputs.resize(info_.seq_len);
  example.labels.resize(info_.seq_len);
  for (int64_t k = 0; k < info_.seq_len; ++k) {
    const int32_t label = value_at(set->labels, row + k);
    example.inputs[k] = value_at(set->inputs, row + k);
    example.labels[k] = label == info_.ignore_label_id ? kIgnoreLabel : label;
  }
  example.puzzle_id = blank_ids_ ? 0 : puzzle_id_[example_puzzle_[i]];
  return example;
}

}  // namespace hrm

#include "hrm/data/dataset_writer.h"

#include <algorithm>
#include <array>
#include <limits>

#include "hrm/support/progress.h"

namespace hrm {
namespace fs = std::filesystem;

DatasetWriter::DatasetWriter(Path folder, DatasetInfo info, Json task, bool replace, bool wide)
    : folder_(std::move(folder)), info_(std::move(info)), task_(std::move(task)) {
  HRM_CHECK(!folder_.empty(), "[data] the folder to write needs a name");
  wide_ = wide || info_.vocab_size > 256;
  std::error_code error;
  // The real name, without a slash at the end: the temporary folder must lie beside it, not in it.
  target_ = fs::weakly_canonical(folder_, error);
  HRM_CHECK(!error, "[data] cannot write ", folder_.string(), ": ", error.message());
  if (!target_.has_filename()) target_ = target_.parent_path();
  temporary_ = target_.string() + ".tmp";
  check_leftovers();
  lock_.emplace(temporary_);
  try {
    check_target(replace);
  } catch (...) {
    clean_up();
    throw;
  }
}

// What a call that was killed has left goes; a folder of that name that is not ours is in the way.
void DatasetWriter::check_leftovers() const {
  std::error_code error;
  const auto status = fs::symlink_status(temporary_, error);
  if (!fs::exists(status)) return;
  bool ours = fs::is_directory(status);
  if (ours)
    for (const auto& entry : fs::directory_iterator(temporary_, error)) {
      const std::string name = entry.path().filename().string();
      ours = ours && (name == "new" || name == "old" || name == "lock");
    }
  HRM_CHECK(
      ours && !error, "[data] ", temporary_.string(),
      " is needed for the time of writing, and holds something else. HINT: give it another name, "
      "or choose another --out folder");
}

void DatasetWriter::check_target(bool replace) {
  std::error_code error;
  HRM_CHECK(bring_back(), "[data] a call that was killed has left the data set in ",
            (temporary_ / "old").string(), ", and it cannot be moved back to ", target_.string(),
            ". HINT: move it by hand");
  fs::remove_all(temporary_ / "new", error);
  fs::remove_all(temporary_ / "old", error);
  const bool free = !fs::exists(folder_, error) || fs::is_empty(folder_, error);
  HRM_CHECK(!error, "[data] cannot look into ", folder_.string(), ": ", error.message(),
            ". HINT: --out must be a folder, or a name that is free");
  const bool is_dataset =
      fs::exists(folder_ / "train" / "dataset.json") || fs::exists(folder_ / kArcFile);
  HRM_CHECK(free || (replace && is_dataset), "[data] ", folder_.string(), " exists already. HINT: ",
            is_dataset ? "--replace writes it anew" : "choose another --out folder");
  if (!free) check_nothing_else();
}

// What is replaced is removed: it must hold nothing but a data set.
void DatasetWriter::check_nothing_else() const {
  constexpr std::array parts = {"train",     "test",   "task.json",        "identifiers.json",
                                "maze.json", kArcFile, "test_puzzles.json"};
  for (const auto& entry : fs::directory_iterator(target_)) {
    const std::string name = entry.path().filename().string();
    HRM_CHECK(
        std::ranges::count(parts, name) > 0, "[data] ", folder_.string(), " also holds ", name,
        ", which is no part of a data set and would be removed. HINT: move it away, or choose "
        "another --out folder");
  }
}

DatasetWriter::~DatasetWriter() {
  if (lock_) clean_up();
}

// A data set that was being replaced. False if it could not be brought back.
bool DatasetWriter::bring_back() {
  std::error_code error;
  if (fs::exists(temporary_ / "old", error) && !fs::exists(target_, error))
    fs::rename(temporary_ / "old", target_, error);
  return !error;
}

// Removes what is half-written, but never the only copy of a data set.
void DatasetWriter::clean_up() {
  std::error_code ignored;
  if (bring_back()) fs::remove_all(temporary_, ignored);
  lock_.reset();
}

void DatasetWriter::open(Split& split, const std::string& name) {
  const Path folder = temporary_ / "new" / name;
  std::error_code error;
  fs::create_directories(folder, error);
  HRM_CHECK(!error, "[data] cannot write ", folder_.string(), ": ", error.message());
  const DType dtype = wide_ ? DType::i32 : DType::u8;
  split.inputs = std::make_unique<NpyWriter>(folder / "all__inputs.npy", dtype, info_.seq_len);
  split.labels = std::make_unique<NpyWriter>(folder / "all__labels.npy", dtype, info_.seq_len);
}

void DatasetWriter::append(NpyWriter& file, const std::vector<int>& tokens) {
  if (wide_) return file.append(tokens.data());
  const std::vector<uint8_t> bytes(tokens.begin(), tokens.end());
  file.append(bytes.data());
}

void DatasetWriter::add(const std::string& split, const std::vector<int>& inputs,
                        const std::vector<int>& labels, int64_t group, int32_t puzzle_id,
                        bool same_puzzle) {
  HRM_CHECK(std::ssize(inputs) == info_.seq_len && inputs.size() == labels.size(),
            "[data] an example must have ", info_.seq_len, " tokens, got ", inputs.size(), " and ",
            labels.size());
  Split& s = split == "train" ? train_ : test_;
  if (!s.inputs) open(s, split);
  std::vector<int> stored = labels;
  for (int& label : stored)
    if (label == kIgnoreLabel) label = static_cast<int>(info_.ignore_label_id.value_or(label));
  const auto fits = [&](int token) { return wide_ || (token >= 0 && token < 256); };
  HRM_CHECK(std::ranges::all_of(inputs, fits) && std::ranges::all_of(stored, fits),
            "[data] tokens must be 0..255 in a data set of bytes. HINT: wide = true stores others");
  append(*s.inputs, inputs);
  append(*s.labels, stored);
  if (!same_puzzle) {
    if (group != s.last_group) s.group_begin.push_back(static_cast<int32_t>(s.puzzle_ids.size()));
    s.last_group = group;
    s.puzzle_begin.push_back(static_cast<int32_t>(s.examples));
    s.puzzle_ids.push_back(puzzle_id);
  }
  ++s.examples;
}

int64_t DatasetWriter::count(const std::string& split) const {
  return (split == "train" ? train_ : test_).examples;
}

void DatasetWriter::write_split(const std::string& name, Split& split) {
  if (!split.inputs) open(split, name);
  split.inputs->finish();
  split.labels->finish();
  const Path folder = temporary_ / "new" / name;
  const int64_t n = split.examples;
  const int64_t puzzles = std::ssize(split.puzzle_ids);
  const auto write_boundaries = [&](const char* file, std::vector<int32_t> begin, int64_t end) {
    begin.push_back(static_cast<int32_t>(end));
    write_npy(folder / file, from_vector(begin, {std::ssize(begin)}));
  };
  write_npy(folder / "all__puzzle_identifiers.npy", from_vector(split.puzzle_ids, {puzzles}));
  write_boundaries("all__puzzle_indices.npy", split.puzzle_begin, n);
  write_boundaries("all__group_indices.npy", split.group_begin, puzzles);
  Json j = {{"pad_id", info_.pad_id},
            {"ignore_label_id", nullptr},
            {"blank_identifier_id", info_.blank_identifier_id},
            {"vocab_size", info_.vocab_size},
            {"seq_len", info_.seq_len},
            {"num_puzzle_identifiers", info_.num_puzzle_identifiers},
            {"total_groups", split.group_begin.size()},
            {"mean_puzzle_examples", puzzles ? static_cast<double>(n) / puzzles : 1.0},
            {"sets", {"all"}}};
  if (info_.ignore_label_id) j["ignore_label_id"] = *info_.ignore_label_id;
  write_file_atomically(folder / "dataset.json", j.dump() + "\n");
}

void DatasetWriter::finish(const std::vector<std::string>& identifiers,
                           const std::vector<std::pair<std::string, std::string>>& files) {
  const Path fresh = temporary_ / "new";
  try {
    fs::create_directories(fresh);
    if (train_.inputs || test_.inputs || files.empty()) {
      write_split("train", train_);
      write_split("test", test_);
      const std::string names =
          Json(identifiers).dump(-1, ' ', false, Json::error_handler_t::replace);
      write_file_atomically(fresh / "identifiers.json", names + "\n");
    }
    if (!task_.empty()) write_file_atomically(fresh / "task.json", task_.dump() + "\n");
    for (const auto& [name, text] : files) write_file_atomically(fresh / name, text);
    if (fs::exists(target_)) fs::rename(target_, temporary_ / "old");
    fs::rename(fresh, target_);
  } catch (const fs::filesystem_error& failure) {
    clean_up();
    detail::fail("[data] cannot write ", folder_.string(), ": ", failure.code().message());
  }
  clean_up();
}

void check_size(double examples, int64_t seq_len, const Path& out, const std::string& smaller) {
  constexpr double kMost = std::numeric_limits<int32_t>::max();
  HRM_CHECK(examples <= kMost, "[data] a data set holds at most ", static_cast<int64_t>(kMost),
            " examples, not ", static_cast<int64_t>(examples), ". HINT: ", smaller);
  // Inputs and labels, a byte a token.
  const double bytes = 2 * static_cast<double>(seq_len) * examples, free = free_disk_bytes(out);
  HRM_CHECK(bytes < free, "[data] the data set needs about ", format_bytes(bytes), " of disk, ",
            format_bytes(free), " are free. HINT: ", smaller, ", or another --out folder");
}

}  // namespace hrm

// Data sets in the official layout: FOLDER/{train,test}/dataset.json and, for each set named there,
// SET__{inputs,labels,puzzle_identifiers,puzzle_indices,group_indices}.npy. Examples belong to
// puzzles, puzzles to groups (a task and its variants); the index files hold the boundaries.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hrm/config.h"
#include "tensor/io.h"
#include "tensor/random.h"

namespace hrm {

struct DatasetInfo {
  int64_t seq_len = 0, vocab_size = 0;
  int64_t pad_id = 0;
  std::optional<int64_t> ignore_label_id;  // this label is not supervised
  int64_t blank_identifier_id = 0;
  int64_t num_puzzle_identifiers = 1;
  int64_t total_groups = 0;
  double mean_puzzle_examples = 1;
  std::vector<std::string> sets = {"all"};
};

// What the tokens mean, from FOLDER/task.json (ours; absent for foreign data sets). "sudoku": token
// 1 is blank, digit d is d + 1. "maze": see maze.h. "tokens": any task, without rules and without
// symmetries that are known. A compact ARC data set is "arc" (see arc.h) without such a file.
inline constexpr std::array kTaskKinds = {"sudoku", "maze", "tokens"};
inline constexpr int kLargestSide = 1024;
struct TaskInfo {
  std::string task;  // empty: not known
  int side = 0, box_rows = 0, box_cols = 0;
};

// What a data set is asked for. Only the compact ARC form (see arc_dataset.h) knows more than the
// conditionings `variant` and `blank`.
struct DataView {
  Conditioning conditioning = Conditioning::variant;
  int64_t context_pairs = 0;       // conditioning `context`: demonstrations in each row
  std::vector<std::string> tasks;  // these alone; empty: all
  // Variants that make examples, besides each task itself; -1: all. They do not change the ids.
  int64_t pool = -1;
  // Other variants than those of the data set.
  std::optional<int64_t> variants;
  std::optional<std::string> kinds;
  std::optional<uint64_t> seed;
};

// The names of identifiers.json: texts, one for each of the `count` puzzle ids.
std::vector<std::string> parse_identifiers(const Json& json, const std::string& source,
                                           int64_t count);

class ArcExamples;

class PuzzleDataset {
 public:
  // Memory-maps FOLDER/SPLIT and checks all of it: shapes, boundaries, token and id ranges.
  // `other`: the other split, if it is at hand, under the same view (`pool` may differ); what both
  // share is not made twice.
  PuzzleDataset(const Path& folder, const std::string& split, const DataView& view = {},
                const PuzzleDataset* other = nullptr);
  // ARC examples made when they are read.
  explicit PuzzleDataset(std::shared_ptr<const ArcExamples> arc, Path folder = {});

  const DatasetInfo& info() const { return info_; }
  // Tokens of an input row: seq_len, and what conditions it (extra_inputs).
  int64_t input_len() const { return input_len_; }
  // The name of a row of the puzzle table, and a hash of it; "" for foreign data sets.
  std::string puzzle_name(int64_t id) const;
  // Hashes of all names, in order of id; empty if the data set has no names.
  std::vector<uint64_t> puzzle_names() const;
  // A checksum of all that training reads of it: where the folder lies does not count.
  std::string identity() const;
  const ArcExamples* arc() const { return arc_.get(); }
  const TaskInfo& task() const { return task_; }
  const Path& folder() const { return folder_; }
  int64_t num_examples() const { return puzzle_begin_.back(); }
  int64_t num_puzzles() const { return std::ssize(puzzle_begin_) - 1; }
  int64_t num_groups() const { return std::ssize(group_begin_) - 1; }
  // Examples of a puzzle and puzzles of a group, as half-open ranges.
  std::pair<int64_t, int64_t> puzzle(int64_t i) const {
    return {puzzle_begin_[i], puzzle_begin_[i + 1]};
  }
  std::pair<int64_t, int64_t> group(int64_t i) const {
    return {group_begin_[i], group_begin_[i + 1]};
  }
  // Example `i` into arrays of input_len and seq_len.
  void read(int64_t i, int32_t* inputs, int32_t* labels, int32_t* puzzle_id) const;

 private:
  struct Set {
    Tensor inputs, labels;      // [n, seq] u8 or i32
    int64_t first_example = 0;  // of this set among all
  };
  void load_set(const Path& split, const std::string& name);

  void show_arc();

  Path folder_;
  DatasetInfo info_;
  TaskInfo task_;
  int64_t input_len_ = 0;
  Conditioning conditioning_ = Conditioning::variant;
  std::shared_ptr<const ArcExamples> arc_;
  std::vector<std::string> names_;  // identifiers.json
  std::vector<Set> sets_;
  std::vector<int64_t> puzzle_begin_ = {0}, group_begin_ = {0};
  std::vector<int32_t> puzzle_id_;       // of every puzzle
  std::vector<int32_t> example_puzzle_;  // puzzle of every example
};

// A symmetric copy of an example, in place. `first`: the first example drawn of its puzzle.
using Augmentation =
    std::function<void(int32_t* inputs, int32_t* labels, bool first, Random& random)>;
// The augmentation of a data set's task; empty if it has none.
Augmentation augmentation_of(const PuzzleDataset& dataset);

}  // namespace hrm

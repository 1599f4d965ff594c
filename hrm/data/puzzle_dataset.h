// Data sets in the official layout: FOLDER/{train,test}/dataset.json and, for each set named there,
// SET__{inputs,labels,puzzle_identifiers,puzzle_indices,group_indices}.npy. Examples belong to
// puzzles, puzzles to groups (a task and its variants); the index files hold the boundaries.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kernels/loss.h"
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
// 1 is blank, digit d is d + 1.
struct TaskInfo {
  std::string task;
  int side = 0, box_rows = 0, box_cols = 0;
};

// Rows of examples, on the host. labels hold kIgnoreLabel where nothing is supervised.
struct Batch {
  Tensor inputs, labels;  // i32 [n, seq]
  Tensor puzzle_ids;      // i32 [n]
  int64_t rows = 0;       // the first so many are real, the rest padding
};

class PuzzleDataset {
 public:
  // Memory-maps FOLDER/SPLIT and checks all of it: shapes, boundaries, token and id ranges.
  PuzzleDataset(const Path& folder, const std::string& split);

  const DatasetInfo& info() const { return info_; }
  const TaskInfo& task() const { return task_; }
  const Path& folder() const { return folder_; }
  int64_t num_examples() const { return static_cast<int64_t>(where_.back().first_example); }
  int64_t num_puzzles() const { return static_cast<int64_t>(puzzle_begin_.size()) - 1; }
  int64_t num_groups() const { return static_cast<int64_t>(group_begin_.size()) - 1; }
  // Examples of a puzzle and puzzles of a group, as half-open ranges.
  std::pair<int64_t, int64_t> puzzle(int64_t i) const {
    return {puzzle_begin_[i], puzzle_begin_[i + 1]};
  }
  std::pair<int64_t, int64_t> group(int64_t i) const {
    return {group_begin_[i], group_begin_[i + 1]};
  }
  // Example `i` into arrays of seq_len.
  void read(int64_t i, int32_t* inputs, int32_t* labels, int32_t* puzzle_id) const;

 private:
  struct Set {
    Tensor inputs, labels;      // [n, seq] u8 or i32
    int64_t first_example = 0;  // of this set among all; the last entry is the total
  };
  void load_set(const Path& split, const std::string& name);

  Path folder_;
  DatasetInfo info_;
  TaskInfo task_;
  std::vector<Set> where_;
  std::vector<int64_t> puzzle_begin_, group_begin_;
  std::vector<int32_t> puzzle_id_;       // of every puzzle
  std::vector<int32_t> example_puzzle_;  // puzzle of every example
};

// A symmetric copy of an example, in place.
using Augmentation = std::function<void(int32_t* inputs, int32_t* labels, Random& random)>;
// The augmentation of a data set's task; empty if it has none.
Augmentation augmentation_of(const PuzzleDataset& dataset);

// Training rows in the official order: groups shuffled every epoch; from each group one random
// puzzle, then all its examples in random order. An endless stream, whose state is a few numbers.
class TrainSampler {
 public:
  TrainSampler(const PuzzleDataset& dataset, uint64_t seed, Augmentation augmentation);

  Batch next(int64_t rows);
  int64_t epoch() const { return epoch_; }
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  void begin_epoch(int64_t epoch);
  int64_t next_example();

  const PuzzleDataset& dataset_;
  Augmentation augmentation_;
  uint64_t seed_;
  Random random_;  // puzzles, example order, augmentation of this epoch
  int64_t epoch_ = 0;
  int64_t group_cursor_ = 0;
  std::vector<int32_t> group_order_;
  std::vector<int64_t> pending_;  // examples of the current puzzle still to come, in reverse
};

// Examples [start, start + rows); beyond the end padding: inputs pad_id, labels kIgnoreLabel, id
// blank_identifier_id.
Batch eval_batch(const PuzzleDataset& dataset, int64_t start, int64_t rows);

// Collects examples and writes a data set. Nothing is visible under its name before finish().
class DatasetWriter {
 public:
  // Refuses a folder that exists and is not empty, unless `replace` is set and it is a data set.
  DatasetWriter(Path folder, DatasetInfo info, TaskInfo task, bool replace);
  // One example: a puzzle of its own, or, if `same_puzzle`, a further example of the one before.
  // Puzzles in a row with one `group` number share a group. Labels may be kIgnoreLabel.
  void add(const std::string& split, const std::vector<int>& inputs, const std::vector<int>& labels,
           int64_t group, int32_t puzzle_id = 0, bool same_puzzle = false);
  int64_t count(const std::string& split) const;
  // identifiers.json lists the names of the puzzle ids. A data set that is replaced goes only when
  // the new one is complete; whatever fails, it stays or comes back.
  void finish(const std::vector<std::string>& identifiers = {"<blank>"});

 private:
  struct Split {
    std::vector<int32_t> inputs, labels, puzzle_ids;
    std::vector<int32_t> puzzle_begin, group_begin;  // in examples, in puzzles
    int64_t last_group = -1, examples = 0;
  };
  void write_split(const Path& folder, const Split& split) const;

  Path folder_;
  DatasetInfo info_;
  TaskInfo task_;
  Split train_, test_;
};

}  // namespace hrm

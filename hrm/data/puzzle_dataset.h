// One split of a data set: its examples, and how they belong to puzzles and groups. Most programs
// get one from open_dataset (hrm/tasks/open_dataset.h).
//
//     const PuzzleDataset train = open_dataset("data/sudoku4", "train");
//     for (int64_t i = 0; i < train.num_examples(); ++i) show(train.read(i).labels);
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hrm/data/examples.h"
#include "tensor/io.h"

namespace hrm {

class PuzzleDataset {
 public:
  // `folder`: where it comes from, for messages.
  explicit PuzzleDataset(std::shared_ptr<const Examples> examples, Path folder = {});

  const Examples& examples() const { return *examples_; }
  const DatasetInfo& info() const { return examples_->info(); }
  const Task& task() const { return examples_->task(); }
  const Path& folder() const { return folder_; }
  // Tokens of an input row: seq_len, and what conditions it (extra_inputs).
  int64_t input_len() const { return examples_->input_len(); }
  // The name of a row of the puzzle table; "" for foreign data sets.
  std::string puzzle_name(int64_t id) const { return examples_->puzzle_name(id); }
  // Hashes of all names, in order of id; empty if the data set has no names.
  std::vector<uint64_t> puzzle_names() const;
  // A checksum of all that training reads of it: where the folder lies does not count.
  std::string identity() const;

  int64_t num_examples() const { return examples_->puzzle_begin().back(); }
  int64_t num_puzzles() const { return std::ssize(examples_->puzzle_begin()) - 1; }
  int64_t num_groups() const { return std::ssize(examples_->group_begin()) - 1; }
  // Examples of a puzzle and puzzles of a group, as half-open ranges.
  std::pair<int64_t, int64_t> puzzle(int64_t i) const {
    return {examples_->puzzle_begin()[i], examples_->puzzle_begin()[i + 1]};
  }
  std::pair<int64_t, int64_t> group(int64_t i) const {
    return {examples_->group_begin()[i], examples_->group_begin()[i + 1]};
  }
  Example read(int64_t i) const { return examples_->read(i); }

 private:
  std::shared_ptr<const Examples> examples_;
  Path folder_;
};

}  // namespace hrm

// Examples in the official layout: FOLDER/{train,test}/dataset.json and, for each set named there,
// SET__{inputs,labels,puzzle_identifiers,puzzle_indices,group_indices}.npy. Examples belong to
// puzzles, puzzles to groups (a task and its variants); the index files hold the boundaries.
//
//     const ArrayExamples train("data/sudoku4", "train", Conditioning::variant, task);
//     const Example first = train.read(0);
#pragma once

#include "hrm/data/examples.h"
#include "tensor/io.h"

namespace hrm {

class ArrayExamples : public Examples {
 public:
  // Memory-maps FOLDER/SPLIT and checks all of it: shapes, boundaries, token and id ranges, and
  // that they are those of the task.
  ArrayExamples(const Path& folder, const std::string& split, Conditioning conditioning,
                std::shared_ptr<const Task> task);

  const DatasetInfo& info() const override { return info_; }
  const Task& task() const override { return *task_; }
  int64_t input_len() const override { return info_.seq_len; }
  bool has_names() const override { return !names_.empty(); }
  std::string puzzle_name(int64_t id) const override;
  const std::vector<int64_t>& puzzle_begin() const override { return puzzle_begin_; }
  const std::vector<int64_t>& group_begin() const override { return group_begin_; }
  Example read(int64_t i) const override;
  std::string checksums() const override;

 private:
  struct Set {
    Tensor inputs, labels;      // [n, seq] u8 or i32
    int64_t first_example = 0;  // of this set among all
  };
  void load_set(const Path& split, const std::string& name);
  void check_tokens(const Tensor& tokens, const Path& file, bool labels) const;

  DatasetInfo info_;
  std::shared_ptr<const Task> task_;
  bool blank_ids_;                  // every example has puzzle id 0
  std::vector<std::string> names_;  // identifiers.json
  std::vector<Set> sets_;
  std::vector<int64_t> puzzle_begin_ = {0}, group_begin_ = {0};
  std::vector<int32_t> puzzle_id_;       // of every puzzle
  std::vector<int32_t> example_puzzle_;  // puzzle of every example
};

// The names of identifiers.json: texts, one for each of the `count` puzzle ids.
std::vector<std::string> parse_identifiers(const Json& json, const std::string& source,
                                           int64_t count);

}  // namespace hrm

// Examples that a program holds in memory, each a puzzle of its own.
//
//     const auto examples = std::make_shared<ListedExamples>(task, info, std::move(list));
//     evaluate(model, PuzzleDataset(examples, "puzzles.txt"), options);   // hrm/eval/evaluate.h
#pragma once

#include <memory>
#include <numeric>
#include <utility>

#include "hrm/data/examples.h"

namespace hrm {

class ListedExamples : public Examples {
 public:
  // Each example has info.seq_len inputs and labels.
  ListedExamples(std::shared_ptr<const Task> task, DatasetInfo info, std::vector<Example> examples)
      : task_(std::move(task)),
        info_(std::move(info)),
        examples_(std::move(examples)),
        begin_(examples_.size() + 1) {
    std::iota(begin_.begin(), begin_.end(), 0);
  }

  const DatasetInfo& info() const override { return info_; }
  const Task& task() const override { return *task_; }
  int64_t input_len() const override { return info_.seq_len; }
  bool has_names() const override { return false; }
  std::string puzzle_name(int64_t) const override { return ""; }
  const std::vector<int64_t>& puzzle_begin() const override { return begin_; }
  const std::vector<int64_t>& group_begin() const override { return begin_; }
  Example read(int64_t i) const override { return examples_.at(i); }
  std::string checksums() const override { return ""; }

 private:
  std::shared_ptr<const Task> task_;
  DatasetInfo info_;
  std::vector<Example> examples_;
  std::vector<int64_t> begin_;
};

}  // namespace hrm

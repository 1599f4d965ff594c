// ARC data sets. The compact form is one file, FOLDER/arc.json, with the tasks and how variants are
// drawn; examples are made when they are read. The official form holds every variant of every
// example in arrays.
//
//     const PuzzleDataset test = open_dataset("data/arc", "test");
//     if (const ArcExamples* arc = arc_examples(test)) show(arc->tasks());
#pragma once

#include "hrm/data/puzzle_dataset.h"
#include "hrm/tasks/arc_data.h"
#include "hrm/tasks/arc_grids.h"

namespace hrm {

// Which task, variant and pair an example is: they are numbered task by task, in a task variant by
// variant, in a variant pair by pair.
class ArcIndex {
 public:
  struct Where {
    int64_t task, variant, pair;
  };
  virtual ~ArcIndex() = default;

  int side() const { return side_; }  // of the canvas
  int64_t num_examples() const { return first_example_.back(); }
  int64_t num_variants(int64_t task) const { return std::ssize((*variants_)[task]); }
  Where where(int64_t example) const;
  const std::vector<ArcTask>& tasks() const { return tasks_; }
  const std::vector<ArcPair>& pairs(int64_t task) const { return pairs_[task]; }
  const ArcVariant& variant(int64_t task, int64_t i) const { return (*variants_)[task][i]; }
  // Where the grids of an example lie on the canvas.
  virtual std::pair<int, int> offset(int64_t) const { return {0, 0}; }

 protected:
  using Variants = std::vector<std::vector<ArcVariant>>;  // of each task; 0 is the task itself

  // Appends the examples of the next task: so many of its variants, each of every pair.
  void add_examples(int64_t variants, std::vector<ArcPair> pairs);

  int side_ = 0;
  std::vector<ArcTask> tasks_;
  std::vector<std::vector<ArcPair>> pairs_;  // of each task in this split
  std::shared_ptr<const Variants> variants_;
  std::vector<int64_t> pool_;                 // variants that make examples, of each task
  std::vector<int64_t> first_example_ = {0};  // of each task, and the total
};

// The examples of a split in the compact form, made when they are read. train: the demonstrations,
// and the test pairs of tasks that are not evaluated; test: the test pairs of the others, with all
// labels ignored where the answer is not known.
class ArcExamples : public Examples, public ArcIndex {
 public:
  // `other`: the other split of the same data, whose variants are taken over.
  ArcExamples(ArcData data, const std::string& split, const DataView& view,
              const ArcExamples* other = nullptr);

  const DatasetInfo& info() const override { return info_; }
  const Task& task() const override { return task_; }
  int64_t input_len() const override { return input_len_; }
  bool has_names() const override { return true; }
  std::string puzzle_name(int64_t id) const override;
  const std::vector<int64_t>& puzzle_begin() const override { return puzzle_begin_; }
  const std::vector<int64_t>& group_begin() const override { return group_begin_; }
  Example read(int64_t example) const override;
  std::string checksums() const override;
  bool holds_both_splits() const override { return true; }
  // (0, 0), or with a pool that is translated any place that holds the input.
  std::pair<int, int> offset(int64_t example) const override;

 private:
  void read_context(const Where& w, int32_t* tokens) const;
  void set_sizes();

  ArcData data_;  // as its file says, without the tasks, which are in the index
  bool training_, moves_pool_;
  Conditioning conditioning_;
  int64_t context_pairs_;
  int64_t input_len_ = 0;
  DatasetInfo info_;
  ArcGrids task_;
  std::vector<int64_t> first_id_ = {1};  // of each task, and the total; id 0 is blank
  std::vector<int64_t> puzzle_begin_ = {0}, group_begin_ = {0};
};

// The examples of a data set, if they are ARC's in the compact form; else null.
const ArcExamples* arc_examples(const PuzzleDataset& data);

// A split of a data set in the official form: its pairs are the `test` of each task, as they were
// before they were changed and moved. The test split is for voting.
class OfficialArc : public ArcIndex {
 public:
  explicit OfficialArc(const PuzzleDataset& official);

 private:
  ArcTask read_task(const PuzzleDataset& official, int64_t group,
                    std::vector<ArcVariant>& variants) const;
};

// The tasks of a data set in the official form, from their untranslated originals: its train split
// as demonstrations, its test split as tests. A task is evaluated if it has tests.
std::vector<ArcTask> official_tasks(const Path& folder);

}  // namespace hrm

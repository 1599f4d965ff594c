// ARC data sets. The compact form is one file, FOLDER/arc.json, with the tasks and how variants are
// drawn; examples are made when they are read. The official form holds every variant of every
// example in arrays.
#pragma once

#include "hrm/data/puzzle_dataset.h"
#include "hrm/tasks/arc_data.h"

namespace hrm {

// The examples of a split, numbered task by task and in a task variant by variant. train: the
// demonstrations, and the test pairs of tasks that are not evaluated; test: the test pairs of the
// others, with all labels ignored where the answer is not known.
class ArcExamples {
 public:
  // `other`: the other split of the same data, whose variants are taken over.
  ArcExamples(ArcData data, const std::string& split, const DataView& view,
              const ArcExamples* other = nullptr);
  // A split of a data set in the official form: its pairs are the `test` of each task, as they were
  // before they were changed and moved. The test split is for voting.
  explicit ArcExamples(const PuzzleDataset& official);

  int64_t side() const { return side_; }
  int64_t num_examples() const { return first_example_.back(); }
  int64_t num_variants(int64_t task) const { return std::ssize((*variants_)[task]); }
  int64_t input_len() const;
  int64_t num_ids() const;
  std::string id_name(int64_t id) const;
  // Of puzzles in examples and of groups (tasks) in puzzles; each vector holds a 0.
  void boundaries(std::vector<int64_t>& puzzles, std::vector<int64_t>& groups) const;

  struct Where {
    int64_t task, variant, pair;
  };
  Where where(int64_t example) const;
  void read(int64_t example, int32_t* inputs, int32_t* labels, int32_t* puzzle_id) const;
  // Where the grids of an example lie on the canvas: (0, 0), or with a pool that is translated any
  // place that holds the input.
  std::pair<int, int> offset(int64_t example) const;
  // Moves pairs to a random place of the canvas, all but the first drawn of each variant (official
  // rule); empty unless the kinds hold translation.
  Augmentation augmentation() const;

  const ArcData& data() const { return data_; }
  const std::vector<ArcTask>& tasks() const { return data_.tasks; }
  const std::vector<ArcPair>& pairs(int64_t task) const { return pairs_[task]; }
  const ArcVariant& variant(int64_t task, int64_t i) const { return (*variants_)[task][i]; }

 private:
  using Variants = std::vector<std::vector<ArcVariant>>;  // of each task; 0 is the task itself

  void read_context(const Where& w, int32_t* tokens) const;

  ArcData data_;
  bool training_, moves_pool_;
  Conditioning conditioning_;
  int64_t context_pairs_;
  int side_;
  std::vector<std::vector<ArcPair>> pairs_;  // of each task in this split
  std::shared_ptr<const Variants> variants_;
  std::vector<int64_t> pool_;                      // variants that make examples, of each task
  std::vector<int64_t> first_example_, first_id_;  // of each task, and the total
};

// The tasks of a data set in the official form, from their untranslated originals: its train split
// as demonstrations, its test split as tests. A task is evaluated if it has tests.
std::vector<ArcTask> official_tasks(const Path& folder);

}  // namespace hrm

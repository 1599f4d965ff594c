// Rows of a data set, in the order in which a model is trained or judged on them.
//
//     TrainSampler sampler(train, 0, train.task().augmentation());
//     const Batch batch = sampler.next(64);
#pragma once

#include <vector>

#include "hrm/data/puzzle_dataset.h"

namespace hrm {

// Rows of examples, on the host. labels hold kIgnoreLabel where nothing is supervised.
struct Batch {
  Tensor inputs, labels;  // i32 [n, input_len], [n, seq]
  Tensor puzzle_ids;      // i32 [n]
  int64_t rows = 0;       // the first so many are real, the rest padding
};

// Training rows in the official order: groups shuffled every epoch; from each group one random
// puzzle, then all its examples in random order. An endless stream, whose state is a few numbers.
class TrainSampler {
 public:
  TrainSampler(const PuzzleDataset& dataset, uint64_t seed, Augmentation augmentation);

  Batch next(int64_t rows);
  int64_t epoch() const { return epoch_; }
  Json state() const;
  // Throws if the state is damaged or of another data set; then nothing has changed.
  void restore(const Json& state);

 private:
  void begin_epoch(int64_t epoch);
  int64_t next_example(bool* first);

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

}  // namespace hrm

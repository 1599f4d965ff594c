// The parts in which a step is computed, and which of them this rank computes. The sums over the
// parts do not depend on that (nn/distributed/tree_sum.h).
//
//     const MicroBatches parts(config.train, ranks);
//     for (int64_t i = parts.own().begin; i < parts.own().end; ++i) compute(batch, parts.rows(i));
#pragma once

#include "hrm/config.h"
#include "nn/distributed/gradient_sum.h"

namespace hrm {

// How the gradients of a step's micro-batches are added up.
GradientSumSettings gradient_sum_of(const TrainConfig& config);

class MicroBatches {
 public:
  // Throws one line if there are fewer micro-batches than ranks.
  MicroBatches(const TrainConfig& config, const Communicator& ranks);

  const Communicator& ranks() const { return ranks_; }
  int64_t count() const { return count_; }
  // The numbers of those of this rank.
  const Range& own() const { return own_; }
  // The rows of the batch that belong to one, or to all of this rank.
  Range rows(int64_t number) const { return {first_row(number), first_row(number + 1)}; }
  Range own_rows() const { return {first_row(own_.begin), first_row(own_.end)}; }

 private:
  int64_t first_row(int64_t number) const { return number * batch_size_ / count_; }

  Communicator ranks_;
  int64_t count_, batch_size_;
  Range own_;
};

}  // namespace hrm

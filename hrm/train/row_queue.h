// Training rows on their way from the sampler to the carry: a ring on the device that the host
// keeps filled ahead of the steps, so that no step waits for data and the host need not know how
// many rows a step has taken.
//
//     RowQueue queue(sampler, 64, config.model, 1, head);
//     queue.prepare();
//     begin_segment(model, carry, queue.rows(), Refill::only_halted);
//     queue.taken(count);   // the value of head after this step
#pragma once

#include <deque>

#include <nlohmann/json.hpp>

#include "hrm/data/sampler.h"
#include "hrm/model/segment.h"

namespace hrm {

class RowQueue {
 public:
  // head: i32 [1] on the device, where the number of rows taken is counted (Rows::head); 0 now.
  // Every step takes at most `batch` rows, and at most `ahead` steps are queued whose number of
  // rows is not known yet.
  RowQueue(TrainSampler& sampler, int64_t batch, const ModelConfig& model, int64_t ahead,
           const Tensor& head);

  const Rows& rows() const { return rows_; }
  // Before a step is queued: uploads what it may need (see tensor/transfer.h).
  void prepare();
  // Once a step is known to be done: the value of head behind it.
  void taken(uint32_t head);

  // The sampler's state at the first row not taken, when every step queued is known.
  Json state() const;
  // Starts anew from such a state.
  void restore(const Json& state);

 private:
  void fill(int64_t count);

  TrainSampler& sampler_;
  int64_t batch_, ahead_, capacity_;
  Rows rows_;                            // on the device, [capacity, ...]
  Tensor inputs_, labels_, puzzle_ids_;  // pinned images of them
  int64_t filled_ = 0, taken_ = 0;       // rows since the start
  // Where the sampler stood before each fill that still has rows to give.
  struct Mark {
    int64_t first_row;
    Json state;
  };
  std::deque<Mark> marks_;
};

}  // namespace hrm

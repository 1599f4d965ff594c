// Exercise 7: when a puzzle has had enough segments, and what the Q head learns from it.
#pragma once

#include <cstdint>
#include <vector>

#include "docs/course/course.h"

namespace hrm::course {

// One puzzle of the batch after a segment.
struct Row {
  int32_t steps = 1;      // segments done on this puzzle, this one included
  double q_halt = 0;      // what the Q head says of stopping here
  double q_continue = 0;  // and of going on
  double u = 1;           // drawn uniformly from [0, 1): whether this puzzle explores
  int32_t min_steps = 2;  // drawn from 2..max_steps: how many segments it must do if it explores
};

struct Rule {
  int32_t max_steps = 16;    // no puzzle gets more segments than this
  bool training = true;      // in evaluation every puzzle takes all of them
  double exploration = 0.1;  // the share of the puzzles that explore
};

// Whether the puzzle halts after this segment. It does when it has had max_steps, and in training,
// if max_steps is more than 1, also when q_halt is larger than q_continue. One that explores
// (u < exploration, in training) never halts before min_steps.
bool halts(const Row& row, const Rule& rule);

// The number of the next segment of a slot of the batch: a slot that has halted takes a new puzzle,
// whose first segment is number 1.
int32_t next_steps(int32_t steps, bool halted);

// The label of a position that does not count, such as padding.
constexpr int32_t kIgnored = -100;

// The target of sigmoid(q_halt): 1 if every position that counts is right, otherwise 0. If none
// counts it is 1. Both lists have one length.
double halt_target(const std::vector<int32_t>& predictions, const std::vector<int32_t>& labels);

// The target of sigmoid(q_continue): what one more segment would be worth. next_q_halt and
// next_q_continue are what the Q head says after that segment, as numbers before the sigmoid; from
// there one may stop or go on, whichever is better. But where `steps`, the segments done so far,
// has reached max_steps, stopping is all that is left. The result lies between 0 and 1.
double continue_target(int32_t steps, int32_t max_steps, double next_q_halt,
                       double next_q_continue);

}  // namespace hrm::course

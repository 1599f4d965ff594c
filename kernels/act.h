// Adaptive computation time on the batch: which rows start anew, which halt, what q_continue should
// have been, and the sums that are reported. Everything stays on the device; no host reads.
// Rules: HRM (arXiv 2506.21734) section 2 and the official hrm_act_v1.py / losses.py.
//
//     cpu::act_advance(steps, halted, batch, context);   // another segment for every slot
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// The q head: HRM compares q_halt with q_continue, TRM looks at the sign of q_halt alone.
enum class QHead { halt_and_continue, halt_only };

// z[b, s, :] = init[:] where halted[b]; other rows keep their state. z: [batch, seq, dim] of t.
HRM_KERNEL(act_reset_state, (DType t, void* z, const void* init, const uint8_t* halted,
                             int64_t batch, int64_t seq, int64_t dim, const Context&))
// current[b, :] = incoming[source[b], :] where source[b] >= 0; other rows keep their data.
// i32, rows of `width` elements.
HRM_KERNEL(act_take_rows, (int32_t * current, const int32_t* incoming, const int32_t* source,
                           int64_t batch, int64_t width, const Context&))
// source[b] = row of a ring of `capacity` rows that slot b takes, or -1 if it has not halted; *head
// counts the rows taken so far (modulo 2^32) and is moved on. reference: row *head + b, and *head
// += batch. only_halted: rows *head, *head + 1, ... for the halted slots in order (a prefix sum).
HRM_KERNEL(act_refill, (int32_t * source, uint32_t* head, const uint8_t* halted, int64_t batch,
                        int64_t capacity, bool only_halted, const Context&))

// How a segment decides to halt. q values are [batch] of t: f32, or f64 in f64 models.
struct HaltRule {
  QHead q_head = QHead::halt_and_continue;
  int32_t max_steps = 16;    // M_max
  bool training = true;      // evaluation: only the last segment halts
  double exploration = 0.1;  // probability of a drawn minimum number of segments
};
// steps[b] = (halted[b] ? 0 : steps[b]) + 1.
HRM_KERNEL(act_advance, (int32_t * steps, const uint8_t* halted, int64_t batch, const Context&))
// last = steps >= max_steps; halted = last or (training and max_steps > 1 and q says halt); with
// exploration, halted only if steps >= (explore_u < exploration) * min_steps. explore_u [batch]
// f32, min_steps [batch] i32 in 2..max_steps (both null: no exploration).
HRM_KERNEL(act_halt, (uint8_t * halted, DType t, const int32_t* steps, const void* q_halt,
                      const void* q_continue, const float* explore_u, const int32_t* min_steps,
                      int64_t batch, const HaltRule& rule, const Context&))
// target[b] = sigmoid(steps[b] >= max_steps ? next_q_halt : max(next_q_halt, next_q_continue)).
HRM_KERNEL(act_target_q,
           (DType t, void* target, const int32_t* steps, const void* next_q_halt,
            const void* next_q_continue, int64_t batch, int32_t max_steps, const Context&))
// Per row: labelled[b] = number of labels != ignore, correct[b] = number of those predicted right,
// exact[b] (of t, a BCE target) = 1 if correct == labelled (also when labelled == 0).
HRM_KERNEL(act_correctness,
           (int32_t * labelled, int32_t* correct, DType t, void* exact, const int32_t* predictions,
            const int32_t* labels, int64_t batch, int64_t seq, const Context&))
// Sums over the rows that halted and have a label: metrics[0] count, [1] accuracy, [2] exact
// accuracy, [3] q_halt accuracy ((q_halt >= 0) == exact), [4] steps. metrics: f64[5], overwritten.
HRM_KERNEL(act_metrics,
           (double* metrics, const uint8_t* halted, const int32_t* steps, const int32_t* labelled,
            const int32_t* correct, DType t, const void* q_halt, int64_t batch, const Context&))

}  // namespace hrm

// What a rule of halting (Halting) does to a segment: when a row is done, and what the segments of
// a puzzle count in the loss. Called by segment.cpp.
//
//     apply_rule(model, carry, false, result);   // another segment may follow
//     show(segments_taken(carry));
#pragma once

#include "hrm/model/segment.h"

namespace hrm {

// The probability of the most likely token of the least sure cell, as the model's loss reads it,
// without gradient. logits: [batch, seq, vocab] -> [batch].
Tensor confidence(const ModelConfig& config, const Tensor& logits);

// Fields of the carry that the rule remembers, for rows that start.
void begin_halting(const Model& model, Carry& carry);
// The same for the rows that have halted; not in-place where earlier segments keep them for
// backward.
void reset_halting(Carry& carry);
// Positions that have halted by themselves (act_per_position) keep the state of `before`.
void keep_halted_positions(const ModelConfig& config, Carry& carry, const State& before);
// What the rule says of each row after its segment: result.done, and with halting act the answer.
// is_last: no segment comes behind this one.
void apply_rule(const Model& model, Carry& carry, bool is_last, SegmentResult& result);
// Segments that each row took: with halting act it may have halted long ago. i32 [batch].
Tensor segments_taken(const Carry& carry);
// The loss of all segments of a puzzle, for act and ponder, in the last of `parts`; the others have
// none then. A sum over the rows, times the number of segments, because a step divides by the
// segments of all its rows. lm is that of the answer, q_halt the cost of its segments.
void weigh_segments(const ModelConfig& config, const Carry& end, std::vector<SegmentResult>& parts);
// The loss of one segment of PonderNet by itself, times the most segments. The head's gradient
// needs what is still to come behind it, the expected cost V of stopping later. That is the cost of
// one more segment without gradient, c = L + beta (log p - log prior), and behind that an estimate
// by q_continue, which is trained on the same. log_left: of the segments before it. x_next: what
// would enter into the next one.
void weigh_segment(const Model& model, const Carry& carry, const Tensor& log_left,
                   const Tensor& x_next, SegmentResult& result);

}  // namespace hrm

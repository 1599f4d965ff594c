// Adaptive computation time: the carry between segments, one training segment with its losses, and
// what halts. (HRM, arXiv 2506.21734, section 2; official hrm_act_v1.py and losses.py.) Nothing
// here reads a device value on the host.
//
//     Carry carry = initial_carry(model, 64);
//     begin_segment(model, carry, sampler.next(64), Refill::only_halted);
//     const auto draws = Exploration::draw(model.config(), 64, random, Device::cpu);
//     const SegmentResult result = train_segment(model, carry, draws, 1.0 / 64);
//     optimizer.step(1e-3);
#pragma once

#include "hrm/data/sampler.h"
#include "hrm/model/model.h"
#include "nn/distributed/communicator.h"
#include "nn/halting.h"
#include "tensor/random.h"

namespace hrm {

// What a batch of slots remembers between segments.
struct Carry {
  State state;
  Tensor steps;       // i32 [batch], segments done on the current puzzle
  Tensor halted;      // u8 [batch]; the slot takes a new puzzle before the next segment
  Tensor inputs;      // i32 [batch, input_len]
  Tensor labels;      // i32 [batch, seq]
  Tensor puzzle_ids;  // i32 [batch]
  // What the rule of halting remembers; undefined for rules that remember nothing.
  ActState act;  // of halting act: [batch], or [batch, seq] if every position halts by itself
  Tensor mixed;  // of halting act: the answer so far, weighted logits [batch, seq, vocab]
  // Of halting ponder: log of the probability not to have halted by now, [batch].
  Tensor log_left;

  int64_t batch() const { return steps.size(0); }
  // visit(name, tensor) for all of it that is defined.
  template <class Visit>
  void fields(Visit&& visit) {
    visit_all(*this, visit);
  }
  template <class Visit>
  void fields(Visit&& visit) const {
    visit_all(*this, visit);
  }
  // Rows [begin, end), sharing memory.
  Carry rows(int64_t begin, int64_t end) const;
  // A copy of the listed rows.
  Carry gather(const Tensor& ids) const;

 private:
  template <class Self, class Visit>
  static void visit_all(Self& self, Visit& visit) {
    visit("z_H", self.state.z_H);
    if (self.state.z_L.defined()) visit("z_L", self.state.z_L);
    visit("steps", self.steps);
    visit("halted", self.halted);
    visit("inputs", self.inputs);
    visit("labels", self.labels);
    visit("puzzle_ids", self.puzzle_ids);
    if (self.mixed.defined()) {
      visit("act.used", self.act.used);
      visit("act.running", self.act.running);
      visit("act.steps", self.act.steps);
      visit("act.cost", self.act.cost);
      visit("act.mixed", self.mixed);
    }
    if (self.log_left.defined()) visit("ponder.log_left", self.log_left);
  }
};

// All slots halted: their states and data are placeholders that begin_segment replaces.
Carry initial_carry(const Model& model, int64_t batch);

// Rows for the slots that have halted: a ring of them, and how many have been taken so far.
struct Rows {
  Tensor inputs, labels;  // i32 [capacity, input_len], [capacity, seq]
  Tensor puzzle_ids;      // i32 [capacity]
  Tensor head;            // i32 [1], modulo 2^32
};

// Which slots of a batch a carry holds, if several carries share one: those of micro-batches, or of
// several ranks.
struct Slots {
  Range own;           // of this carry
  int64_t all = 0;     // of the batch; 0: the carry holds all of them
  Communicator ranks;  // which together hold all of them; asked what has halted there
  bool alike = false;  // all slots halt at the same time, so that nobody need be asked
};

// Slots that have halted take rows (reference: slot b takes row head + b; only_halted: rows head,
// head + 1, ... in order), start from the initial state and count from 0; then every slot's count
// is raised for the segment about to run. In-place on the carry and on rows.head; a state with a
// history is replaced, and the gradient of the slots that start anew ends there.
void begin_segment(const Model& model, Carry& carry, const Rows& rows, Refill refill,
                   const Slots& slots = {});
// The same with the rows of one batch, from its first.
void begin_segment(const Model& model, Carry& carry, const Batch& incoming, Refill refill);
// Draws that keep some rows from halting early; null tensors: none.
struct Exploration {
  Tensor u;          // f32 [batch], uniform
  Tensor min_steps;  // i32 [batch], 2..halt_max_steps
  static Exploration draw(const ModelConfig& config, int64_t batch, Random& random, Device device);
  // The next draws, in place.
  void redraw(const ModelConfig& config, Random& random);
  Exploration rows(int64_t begin, int64_t end) const;
};

// The losses of one segment, as sums over the batch, and what was right.
struct LossTerms {
  // lm + (q_halt + q_continue) / 2, scalar. With halting act and ponder lm + q_halt, which is the
  // cost of the segments, and for ponder one segment at a time q_continue / 2.
  Tensor total;
  Tensor lm, q_halt, q_continue;  // scalars; undefined where the rule of halting has no such loss
  Tensor rows;                    // lm of each row, [batch]; halting ponder only
  Tensor predictions;             // i32 [batch, seq]
  Tensor labelled, correct;       // i32 [batch]
  Tensor exact;                   // [batch], 1 where every labelled token is right
};
// target_q (may be undefined): [batch], the target of sigmoid(q_continue).
LossTerms loss_terms(const ModelConfig& config, const Outputs& outputs, const Tensor& labels,
                     const Tensor& target_q);

// A segment run on the carry: new state and halting flags are in the carry afterwards.
struct SegmentResult {
  Outputs outputs;
  Tensor target_q;
  // How far a row is, in [0, 1]: its confidence, or the probability that it has halted by now. It
  // is done above ModelConfig::halt_threshold. Undefined for q_learning, whose q values are in
  // `outputs`, and for fixed. With halting act outputs.logits are the answer if the row stopped
  // here. [batch].
  Tensor done;
  LossTerms loss;
  Tensor metrics;      // f64 [5], see act_metrics
  Tensor puzzle_rows;  // the leaf whose .grad belongs to puzzle_ids; may be undefined
  Tensor puzzle_ids;   // i32 [batch], the carry's in this segment
};
// Runs every slot ahead by so many segments, without gradient and without counting them.
void run_ahead(const Model& model, Carry& carry, int64_t segments);
// Training: forward under the model's gradient strategy, halting with exploration, the target of
// q_continue from one more segment without gradient, and backward of loss.total * loss_scale into
// .grad of every parameter. Not for halting act, whose segments count together.
SegmentResult train_segment(const Model& model, Carry& carry, const Exploration& exploration,
                            double loss_scale);
// `count` training segments, each begun by begin_segment, with nothing detached between them, and
// backward of the sum of their losses * loss_scale: a rule that records a whole segment reaches the
// earlier ones too, as far back as a slot's first. exploration: [count * batch]. With halting act
// and ponder `count` must be halt_max_steps, all slots must start, and the loss is that of the
// segments' weighted answer, or the weighted sum of their losses, in the last result.
std::vector<SegmentResult> train_segments(const Model& model, Carry& carry, const Rows& rows,
                                          Refill refill, const Exploration& exploration,
                                          int64_t count, double loss_scale,
                                          const Slots& slots = {});
// What q_continue is trained on: the larger q (q_halt at halt_max_steps) of one more segment from
// `state`, as a probability, [batch].
Tensor target_q(const Model& model, const Carry& carry, const State& state, const Tensor& x);
// Evaluation: no gradient; rows halt at `max_steps` only (0: halt_max_steps).
SegmentResult eval_segment(const Model& model, Carry& carry, int64_t max_steps = 0);

}  // namespace hrm

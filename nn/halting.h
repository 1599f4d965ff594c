// How much each step of a recurrence counts, when a head says after every step whether to stop:
// adaptive computation time (Graves, arXiv 1603.08983) and PonderNet (Banino et al., arXiv
// 2107.05407).
//
//     Tensors h, answers;                          // sigmoid of the head and answer of each step
//     const ActWeights act = act_weights(h);       // act.p[n]: the share of step n in the answer
//     Tensor answer = act.p[0] * answers[0];
//     for (size_t n = 1; n < h.size(); ++n) answer = answer + act.p[n] * answers[n];
//     backward(loss_of(answer) + 0.01 * sum(act.cost));
#pragma once

#include "autograd/node.h"

namespace hrm {
inline namespace nn {

// ACT step by step, all of one shape: a row has its own state, or a position (Universal
// Transformer). Sums are from the start.
struct ActState {
  Tensor used;     // of the halting probabilities h_1 + h_2 + ... of steps before the last
  Tensor running;  // 1 until the step N at which it halts, then 0; without gradient
  Tensor steps;    // N so far, without gradient
  Tensor cost;     // N + R once halted, where R is the weight of step N; its gradient is that of R
};
ActState act_begin(const Shape& shape, DType dtype, Device device = Device::cpu);
// The weight of the next step in the answer. h: its halting probabilities in [0, 1]. A step at
// which they add up to 1 - epsilon or more, or that is_last, is step N, and has what is left to 1;
// one before it has h, one behind it 0 (Graves, equations 5 to 8).
Tensor act_step(ActState& state, const Tensor& h, bool is_last, double epsilon = 0.01);
// All steps at once: h[n] after step n. The weights p add up to 1.
struct ActWeights {
  Tensors p;
  Tensor cost, steps;  // as in ActState
};
ActWeights act_weights(const Tensors& h, double epsilon = 0.01);

struct PonderWeights {
  Tensors p, log_p;  // probability to stop at each step; they add up to 1
};
// logits: of the probability to stop after each step if the row has come so far, f32 or f64; at the
// last step every row stops, whatever its logit (PonderNet, equation 3).
PonderWeights ponder_weights(const Tensors& logits);
// KL(p || prior) in nats, of the shape of one p. The prior is geometric, prior (1 - prior)^(n - 1),
// and the last step has the rest; `prior` in (0, 1).
Tensor ponder_divergence(const PonderWeights& weights, double prior);

// PonderNet one step at a time: what step n needs of the rows' past, without gradient. All of one
// shape.
struct PonderStep {
  Tensor stop;      // the probability to stop here once it has come so far; 1 at the last step
  Tensor p;         // ... from the start: the weight of this step
  Tensor log_left;  // log of the probability to go on from here, as if this step was not the last
  Tensor surplus;   // log p - log prior: what this step adds to the divergence is p * surplus
};
// log_left: that of the step before, 0 at the first; number: of this step, counted from 1 (floats),
// of `steps`.
PonderStep ponder_step(const Tensor& log_left, const Tensor& logits, const Tensor& number,
                       int64_t steps, double prior);

// The sum of weights[n] * y[n], where a weight has as many dimensions as y or fewer: [batch] weighs
// rows of [batch, seq, vocab].
Tensor weighted_sum(const Tensors& weights, const Tensors& y);

}  // namespace nn
}  // namespace hrm

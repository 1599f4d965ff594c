// What a segment says about each puzzle of a batch, on the host: its answers, and how sure the
// model is of them.
//
//     const SegmentView view(model.config(), eval_segment(model, carry));
//     if (view.halt_margin(0) > 0) show(view.predicted(0));
#pragma once

#include <vector>

#include "hrm/model/segment.h"

namespace hrm {

class SegmentView {
 public:
  // The confidence costs a softmax over all logits; models whose halting rule is not q_learning
  // have it anyway.
  SegmentView(const ModelConfig& config, const SegmentResult& result, bool with_confidence = false);

  // The tokens predicted in row b.
  std::vector<int> predicted(int64_t b) const;
  // How far the model's own rule of halting is above its threshold in row b; -infinity if it has no
  // rule.
  double halt_margin(int64_t b) const;

  // Of every row.
  std::vector<double> labelled, correct;  // tokens
  std::vector<double> head;               // q_halt of the Q head, whatever the rule
  // As in PuzzleTrace, but logits. Of a model that halts by q_halt alone, q_continue is -q_halt.
  std::vector<double> q_halt, q_continue;
  std::vector<double> sure;              // as Answer::q_halt
  std::vector<double> done, confidence;  // probabilities; empty where nobody asks for them
  Tensor predictions;                    // i32 [batch, seq]

 private:
  bool has_rule_, halt_only_;
  double threshold_;
};

// |after - before| / |after| of every row.
std::vector<double> relative_change(const Tensor& before, const Tensor& after);

// 1 / (1 + exp(-logit)).
double probability(double logit);

}  // namespace hrm

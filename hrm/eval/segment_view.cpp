#include "hrm/eval/segment_view.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "autograd/ops/ops.h"
#include "hrm/model/halting_rules.h"

namespace hrm {
namespace {

// The inverse of probability(), finite.
double logit(double probability) {
  constexpr double kLeast = 1e-9;
  const double p = std::clamp(probability, kLeast, 1 - kLeast);
  return std::log(p / (1 - p));
}

}  // namespace

SegmentView::SegmentView(const ModelConfig& config, const SegmentResult& result,
                         bool with_confidence)
    : labelled(result.loss.labelled.to_vector()),
      correct(result.loss.correct.to_vector()),
      head(result.outputs.q.halt.to_vector()),
      q_halt(head),
      q_continue(result.outputs.q.continue_.to_vector()),
      sure(head),
      predictions(result.loss.predictions.to(Device::cpu)),
      has_rule_(config.halting != Halting::fixed),
      halt_only_(config.q_head == QHead::halt_only),
      threshold_(config.halt_threshold()) {
  const bool q_learning = config.halting == Halting::q_learning;
  if (!q_learning || with_confidence)
    confidence = hrm::confidence(config, result.outputs.logits).to_vector();
  // A model that halts by q_halt alone has never trained the other.
  if (q_learning && halt_only_)
    std::ranges::transform(q_halt, q_continue.begin(), std::negate<double>());
  if (q_learning) return;
  if (result.done.defined()) done = result.done.to_vector();
  for (size_t b = 0; b < head.size(); ++b) {
    sure[b] = logit(confidence[b]);
    q_halt[b] = done.empty() ? sure[b] : logit(done[b]);
    q_continue[b] = -q_halt[b];
  }
}

std::vector<int> SegmentView::predicted(int64_t b) const {
  const int64_t seq = predictions.size(1);
  const int32_t* row = predictions.data<int32_t>() + b * seq;
  return {row, row + seq};
}

double SegmentView::halt_margin(int64_t b) const {
  if (!done.empty()) return done[b] - threshold_;
  if (!has_rule_) return -std::numeric_limits<double>::infinity();
  return halt_only_ ? q_halt[b] : q_halt[b] - q_continue[b];
}

std::vector<double> relative_change(const Tensor& before, const Tensor& after) {
  const auto norm = [](const Tensor& z) {
    const Tensor rows = cast(z, accumulate_type(z.dtype())).view({z.size(0), -1});
    return sqrt(sum(rows * rows, 1));
  };
  return (norm(after - before) / (norm(after) + 1e-30)).to_vector();
}

double probability(double logit) { return 1 / (1 + std::exp(-logit)); }

}  // namespace hrm

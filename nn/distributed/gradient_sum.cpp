#include "nn/distributed/gradient_sum.h"

#include <utility>

#include "kernels/dispatch.h"
#include "kernels/elementwise.h"

namespace hrm {
inline namespace nn {
namespace {

// Elements of the common buffer: the next parameter begins where kernels can read whole vectors.
int64_t room_for(const Tensor& t) {
  constexpr int64_t kAlignment = 16;
  return (t.numel() + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

GradientSum::GradientSum(const NamedParameters& parameters, const GradientSumSettings& settings)
    : settings_(settings), sum_(settings.parts) {
  for (const auto& [name, p] : parameters) parameters_.push_back(p);
}

void GradientSum::add(int64_t part) {
  if (settings_.parts == 1) return;
  std::vector<Parameter*> reached;
  int64_t size = 0;
  for (Parameter* p : parameters_) {
    if (!p->value.grad().defined()) continue;
    reached.push_back(p);
    size += room_for(p->value);
  }
  HRM_CHECK(!reached.empty(), "[gradient_sum] part ", part, " has left no gradient");
  HRM_CHECK(reached_.empty() || reached == reached_, "[gradient_sum] part ", part,
            " has reached other parameters than the one before");
  const Tensor& like = reached.front()->value;
  const DType dtype = settings_.bf16 ? DType::bf16 : like.dtype();
  const Tensor all = zeros({size}, dtype, like.device());
  int64_t begin = 0;
  for (Parameter* p : reached) {
    const int64_t end = begin + p->value.numel();
    all.slice(0, begin, end).copy_from(p->value.grad().contiguous().view({end - begin}));
    p->value.set_grad({});
    begin += room_for(p->value);
  }
  reached_ = std::move(reached);
  if (!settings_.fast) return sum_.add(part, all);
  if (own_.defined())
    HRM_DISPATCH(axpy, own_.context(), own_.dtype(), own_.data(), all.data(), own_.numel(), 1);
  else
    own_ = all;
}

void GradientSum::finish(const Communicator& ranks) {
  if (settings_.parts == 1) return;
  Tensor all = settings_.fast ? std::exchange(own_, {}) : sum_.total(ranks);
  if (settings_.fast) ranks.fast_sum(all);
  if (!reached_.empty()) all = all.to(reached_.front()->value.dtype());
  int64_t begin = 0;
  for (Parameter* p : std::exchange(reached_, {})) {
    const int64_t end = begin + p->value.numel();
    p->value.set_grad(all.slice(0, begin, end).view(p->value.shape()));
    begin += room_for(p->value);
  }
}

}  // namespace nn
}  // namespace hrm

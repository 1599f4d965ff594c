#include "nn/distributed/gradient_sum.h"

#include <utility>

namespace hrm {
namespace {

// Elements of the common buffer: the next parameter begins where kernels can read whole vectors.
int64_t room_for(const Tensor& t) {
  constexpr int64_t kAlignment = 16;
  return (t.numel() + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

GradientSum::GradientSum(const NamedParameters& parameters, int64_t parts)
    : parts_(parts), sum_(parts) {
  for (const auto& [name, p] : parameters) parameters_.push_back(p);
}

void GradientSum::add(int64_t part) {
  if (parts_ == 1) return;
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
  const Tensor all = zeros({size}, like.dtype(), like.device());
  int64_t begin = 0;
  for (Parameter* p : reached) {
    const int64_t end = begin + p->value.numel();
    all.sliced(0, begin, end).copy_from(p->value.grad().contiguous().view({end - begin}));
    p->value.set_grad({});
    begin += room_for(p->value);
  }
  sum_.add(part, all);
  reached_ = std::move(reached);
}

void GradientSum::finish(const Communicator& ranks) {
  if (parts_ == 1) return;
  const Tensor all = sum_.total(ranks);
  int64_t begin = 0;
  for (Parameter* p : std::exchange(reached_, {})) {
    const int64_t end = begin + p->value.numel();
    p->value.set_grad(all.sliced(0, begin, end).view(p->value.shape()));
    begin += room_for(p->value);
  }
}

}  // namespace hrm

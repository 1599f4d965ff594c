#include "nn/distributed/gradient_sum.h"

#include <utility>

namespace hrm {

GradientSum::GradientSum(const NamedParameters& parameters, int64_t parts) : sum_(parts) {
  for (const auto& [name, p] : parameters) parameters_.push_back(p);
}

void GradientSum::add(int64_t part) {
  std::vector<Parameter*> reached;
  int64_t size = 0;
  for (Parameter* p : parameters_) {
    if (!p->value.grad().defined()) continue;
    reached.push_back(p);
    size += p->value.numel();
  }
  HRM_CHECK(!reached.empty(), "[gradient_sum] part ", part, " has left no gradient");
  HRM_CHECK(reached_.empty() || reached == reached_, "[gradient_sum] part ", part,
            " has reached other parameters than the one before");
  const Tensor& like = reached.front()->value;
  const Tensor all = empty({size}, like.dtype(), like.device());
  int64_t begin = 0;
  for (Parameter* p : reached) {
    const int64_t end = begin + p->value.numel();
    all.sliced(0, begin, end).copy_from(p->value.grad().contiguous().view({end - begin}));
    p->value.set_grad({});
    begin = end;
  }
  sum_.add(part, all);
  reached_ = std::move(reached);
}

void GradientSum::finish(const Communicator& ranks) {
  const Tensor all = sum_.total(ranks);
  int64_t begin = 0;
  for (Parameter* p : std::exchange(reached_, {})) {
    const int64_t end = begin + p->value.numel();
    p->value.set_grad(all.sliced(0, begin, end).view(p->value.shape()));
    begin = end;
  }
}

}  // namespace hrm

#include "nn/optim/ema.h"

#include "autograd/grad_mode.h"
#include "kernels/optimizer.h"

namespace hrm {
inline namespace nn {

Ema::Ema(const NamedParameters& parameters, double rate) : rate_(rate) {
  for (const auto& [name, p] : parameters)
    averages_.push_back({name, p, p->value.detach().clone()});
}

void Ema::update(const Tensor& skip) {
  for (Average& average : averages_) {
    const Tensor& value = average.parameter->value;
    HRM_DISPATCH(ema_update, value.context(), value.dtype(), average.shadow.data(), value.data(),
                 value.numel(), rate_, skip.defined() ? skip.data<int32_t>() : nullptr);
  }
}

void Ema::swap() {
  const NoGradGuard no_grad;
  for (Average& average : averages_) {
    const Tensor live = average.parameter->value.clone();
    average.parameter->value.copy_from(average.shadow);
    average.parameter->refresh();
    average.shadow.copy_from(live);  // in place: a recorded step knows its address
  }
}

NamedTensors Ema::state_dict() const {
  NamedTensors state;
  for (const Average& average : averages_)
    state.emplace_back("ema." + average.name, average.shadow);
  return state;
}

void Ema::load_state_dict(const NamedTensors& state) {
  for (Average& average : averages_) {
    const Tensor* t = find(state, "ema." + average.name);
    HRM_CHECK(t && t->shape() == average.shadow.shape(), "[ema] the checkpoint has no 'ema.",
              average.name, "' of shape ", average.shadow.shape(),
              ". HINT: is it a checkpoint of another model?");
    average.shadow.copy_from(*t);
  }
}

}  // namespace nn
}  // namespace hrm

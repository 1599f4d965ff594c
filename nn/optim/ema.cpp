#include "nn/optim/ema.h"

#include "autograd/grad_mode.h"
#include "kernels/optimizer.h"

namespace hrm {

Ema::Ema(std::vector<std::pair<std::string, Parameter*>> parameters, double rate) : rate_(rate) {
  for (auto& [name, p] : parameters)
    slots_.push_back({std::move(name), p, p->value.detach().clone()});
}

void Ema::update(const Tensor& skip) {
  for (Slot& slot : slots_) {
    const Tensor& value = slot.parameter->value;
    HRM_DISPATCH(ema_update, value.context(), value.dtype(), slot.shadow.data(), value.data(),
                 value.numel(), rate_, skip.defined() ? skip.data<int32_t>() : nullptr);
  }
}

void Ema::swap() {
  const NoGradGuard no_grad;
  for (Slot& slot : slots_) {
    const Tensor live = slot.parameter->value.clone();
    slot.parameter->value.copy_from(slot.shadow);
    slot.parameter->refresh();
    slot.shadow.copy_from(live);  // in place: a recorded step knows its address
  }
}

NamedTensors Ema::state_dict() const {
  NamedTensors state;
  for (const Slot& slot : slots_) state.emplace_back("ema." + slot.name, slot.shadow);
  return state;
}

void Ema::load_state_dict(const NamedTensors& state) {
  for (Slot& slot : slots_) {
    const Tensor* t = find(state, "ema." + slot.name);
    CHECK(t && t->shape() == slot.shadow.shape(), "[ema] the checkpoint has no 'ema.", slot.name,
          "' of shape ", slot.shadow.shape(), ". HINT: is it a checkpoint of another model?");
    slot.shadow.copy_from(*t);
  }
}

}  // namespace hrm

#include "nn/optim/sgd.h"

namespace hrm {
inline namespace nn {

Sgd::Sgd(const NamedParameters& parameters, const SgdOptions& options)
    : Optimizer(parameters, options.clip_norm), options_(options) {
  HRM_CHECK(!options.nesterov || options.momentum > 0,
            "[sgd] nesterov needs a momentum. HINT: {.momentum = 0.9, .nesterov = true}");
  for (const auto& [name, p] : parameters)
    weights_.push_back({name, p, options.momentum > 0 ? zeros_like(p->value) : Tensor()});
}

void Sgd::apply(const Tensor& rates, const Tensor& gradient_scale, const Tensor& skip) {
  const SgdRule rule = {options_.momentum, options_.weight_decay, options_.nesterov};
  for (Weight& weight : weights_) {
    const Tensor &value = weight.parameter->value, &copy = weight.parameter->copy;
    const Tensor g = value.grad();
    weight.active = g.defined();
    if (!weight.active) continue;
    HRM_DISPATCH(sgd, g.context(), g.dtype(), value.data(),
                 weight.momentum.defined() ? weight.momentum.data() : nullptr,
                 copy.defined() ? copy.data<bfloat16>() : nullptr, g.data(), g.numel(), rule,
                 rates.data<double>(),
                 gradient_scale.defined() ? gradient_scale.data<double>() : nullptr,
                 skip.defined() ? skip.data<int32_t>() : nullptr);
  }
}

void Sgd::advance() {
  for (const Weight& weight : weights_)
    if (weight.active) weight.parameter->changed();
}

NamedTensors Sgd::state_dict() const {
  NamedTensors state;
  for (const Weight& weight : weights_)
    if (weight.momentum.defined()) state.emplace_back("momentum." + weight.name, weight.momentum);
  return state;
}

void Sgd::load_state_dict(const NamedTensors& state) {
  for (Weight& weight : weights_)
    if (weight.momentum.defined())
      weight.momentum.copy_from(
          saved_by_optimizer(state, "momentum." + weight.name, weight.momentum.shape()));
}

}  // namespace nn
}  // namespace hrm

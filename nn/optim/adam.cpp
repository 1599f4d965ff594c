#include "nn/optim/adam.h"

#include <cmath>

#include "kernels/reduce.h"

namespace hrm {

Adam::Adam(std::vector<std::pair<std::string, Parameter*>> parameters, const AdamOptions& options)
    : options_(options) {
  for (auto& [name, p] : parameters)
    slots_.push_back({std::move(name), p, zeros_like(p->value), zeros_like(p->value)});
}

Tensor Adam::clip_factor() {
  if (options_.clip_norm <= 0) return {};
  Tensor total, factor;
  for (const Slot& slot : slots_) {
    const Tensor g = slot.parameter->value.grad();
    if (!g.defined()) continue;
    if (!total.defined()) {
      total = zeros({}, DType::f64, g.device());
      factor = ones({}, DType::f64, g.device());
    }
    HRM_DISPATCH(add_sum_of_squares, g.context(), g.dtype(), total.data<double>(), g.data(),
                 g.numel());
  }
  if (total.defined())
    HRM_DISPATCH(clip_scale, total.context(), factor.data<double>(), total.data<double>(),
                 options_.clip_norm);
  return factor;
}

std::vector<double> Adam::rates(double lr) const {
  std::vector<double> all;
  for (const Slot& slot : slots_) {
    const auto t = static_cast<double>(slot.t + 1);
    all.push_back(1 - lr * options_.weight_decay);
    all.push_back(lr / (1 - std::pow(options_.beta1, t)));
    all.push_back(1 / std::sqrt(1 - std::pow(options_.beta2, t)));
  }
  return all;
}

void Adam::update(const Tensor& rates, const Tensor& skip) {
  const Tensor factor = clip_factor();
  std::vector<AdamTensor> tensors;
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    const Tensor &value = slot.parameter->value, &copy = slot.parameter->copy;
    const Tensor g = value.grad();
    slot.active = g.defined();
    if (!slot.active) continue;
    tensors.push_back({value.data(), slot.exp_avg.data(), slot.exp_avg_sq.data(),
                       copy.defined() ? copy.data<bfloat16>() : nullptr, g.data(), value.numel(),
                       rates.data<double>() + i * kAdamRates});
  }
  if (tensors.empty()) return;
  const Tensor& first = slots_[0].parameter->value;
  HRM_DISPATCH(adam, first.context(), first.dtype(), tensors.data(),
               static_cast<int64_t>(tensors.size()),
               AdamRule{options_.kind, options_.beta1, options_.beta2, options_.eps},
               factor.defined() ? factor.data<double>() : nullptr,
               skip.defined() ? skip.data<int32_t>() : nullptr);
  advance();
}

void Adam::advance() {
  for (Slot& slot : slots_) {
    if (!slot.active) continue;
    ++slot.t;
    slot.parameter->value.storage().bump_version();
    if (slot.parameter->copy.defined()) slot.parameter->copy.storage().bump_version();
  }
}

void Adam::step(double lr, const Tensor& skip) {
  if (slots_.empty()) return;
  update(from_vector(rates(lr), {rates_size()}).to(slots_[0].parameter->value.device()), skip);
}

void Adam::zero_grad() {
  for (Slot& slot : slots_) slot.parameter->value.set_grad({});
}

NamedTensors Adam::state_dict() const {
  NamedTensors state;
  for (const Slot& slot : slots_) {
    state.emplace_back("exp_avg." + slot.name, slot.exp_avg);
    state.emplace_back("exp_avg_sq." + slot.name, slot.exp_avg_sq);
    state.emplace_back("t." + slot.name, from_vector<int32_t>({static_cast<int32_t>(slot.t)}, {1}));
  }
  return state;
}

void Adam::load_state_dict(const NamedTensors& state) {
  const auto get = [&](const std::string& name, const Shape& shape) {
    const Tensor* t = find(state, name);
    CHECK(t && t->shape() == shape, "[optimizer] the checkpoint has no '", name, "' of shape ",
          shape, ". HINT: is it a checkpoint of another model?");
    return *t;
  };
  for (Slot& slot : slots_) {
    slot.exp_avg.copy_from(get("exp_avg." + slot.name, slot.exp_avg.shape()));
    slot.exp_avg_sq.copy_from(get("exp_avg_sq." + slot.name, slot.exp_avg_sq.shape()));
    slot.t = static_cast<int64_t>(get("t." + slot.name, {1}).item());
  }
}

}  // namespace hrm

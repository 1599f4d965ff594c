#include "nn/optim/adam.h"

#include <cmath>

namespace hrm {
inline namespace nn {

Adam::Adam(const NamedParameters& parameters, const AdamOptions& options)
    : Optimizer(parameters, options.clip_norm), options_(options) {
  for (const auto& [name, p] : parameters)
    moments_.push_back({name, p, zeros_like(p->value), zeros_like(p->value)});
}

std::vector<double> Adam::rates(double lr) const {
  std::vector<double> all;
  for (const Moments& moments : moments_) {
    const auto t = static_cast<double>(moments.t + 1);
    all.push_back(1 - lr * options_.weight_decay);
    all.push_back(lr / (1 - std::pow(options_.beta1, t)));
    all.push_back(1 / std::sqrt(1 - std::pow(options_.beta2, t)));
  }
  return all;
}

void Adam::apply(const Tensor& rates, const Tensor& gradient_scale, const Tensor& skip) {
  std::vector<AdamTensor> tensors;
  for (size_t i = 0; i < moments_.size(); ++i) {
    Moments& moments = moments_[i];
    const Tensor &value = moments.parameter->value, &copy = moments.parameter->copy;
    const Tensor g = value.grad();
    moments.active = g.defined();
    if (!moments.active) continue;
    tensors.push_back({value.data(), moments.exp_avg.data(), moments.exp_avg_sq.data(),
                       copy.defined() ? copy.data<bfloat16>() : nullptr, g.data(), value.numel(),
                       rates.data<double>() + i * kAdamRates});
  }
  if (tensors.empty()) return;
  const Tensor& first = moments_[0].parameter->value;
  HRM_DISPATCH(adam, first.context(), first.dtype(), tensors.data(),
               static_cast<int64_t>(tensors.size()),
               AdamRule{options_.kind, options_.beta1, options_.beta2, options_.eps},
               gradient_scale.defined() ? gradient_scale.data<double>() : nullptr,
               skip.defined() ? skip.data<int32_t>() : nullptr);
}

void Adam::advance() {
  for (Moments& moments : moments_) {
    if (!moments.active) continue;
    ++moments.t;
    moments.parameter->changed();
  }
}

NamedTensors Adam::state_dict() const {
  NamedTensors state;
  for (const Moments& moments : moments_) {
    state.emplace_back("exp_avg." + moments.name, moments.exp_avg);
    state.emplace_back("exp_avg_sq." + moments.name, moments.exp_avg_sq);
    state.emplace_back("t." + moments.name,
                       from_vector<int32_t>({static_cast<int32_t>(moments.t)}, {1}));
  }
  return state;
}

void Adam::load_state_dict(const NamedTensors& state) {
  const auto get = [&](const std::string& name, const Shape& shape) {
    return saved_by_optimizer(state, name, shape);
  };
  for (Moments& moments : moments_) {
    moments.exp_avg.copy_from(get("exp_avg." + moments.name, moments.exp_avg.shape()));
    moments.exp_avg_sq.copy_from(get("exp_avg_sq." + moments.name, moments.exp_avg_sq.shape()));
    moments.t = static_cast<int64_t>(get("t." + moments.name, {1}).item());
  }
}

}  // namespace nn
}  // namespace hrm

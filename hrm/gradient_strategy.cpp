#include "hrm/gradient_strategy.h"

#include <cmath>

#include "autograd/checkpoint.h"
#include "autograd/grad_mode.h"

namespace hrm {

State LastK::run(const Recurrence& recurrence, State state, const Tensor& x) const {
  const auto total = static_cast<int64_t>(recurrence.updates.size());
  const int64_t first = std::max<int64_t>(0, total - k_);
  state = recurrence.advance(state, x, static_cast<size_t>(first));
  for (int64_t i = first; i < total; ++i) state = recurrence.apply(recurrence.updates[i], state, x);
  return state;
}

State FullBptt::run(const Recurrence& recurrence, State state, const Tensor& x) const {
  for (const Level level : recurrence.updates) state = recurrence.apply(level, state, x);
  return state;
}

State Checkpointed::run(const Recurrence& recurrence, State state, const Tensor& x) const {
  const size_t total = recurrence.updates.size();
  const auto stretch = static_cast<size_t>(std::ceil(std::sqrt(static_cast<double>(total))));
  for (size_t begin = 0; begin < total; begin += stretch) {
    const std::vector<Level> part(recurrence.updates.begin() + begin,
                                  recurrence.updates.begin() + std::min(begin + stretch, total));
    Tensors inputs = {x, state.z_H};
    const bool has_L = state.z_L.defined();
    if (has_L) inputs.push_back(state.z_L);
    // The weights are inputs too, so that their gradients pass through the checkpoint node.
    for (const Level level : {Level::H, Level::L})
      for (const Tensor& weight : recurrence.weights(level)) inputs.push_back(weight);
    const Tensors outputs = checkpoint(
        [apply = recurrence.apply, part, has_L](const Tensors& in) {
          State s{in[1], has_L ? in[2] : Tensor()};
          for (const Level level : part) s = apply(level, s, in[0]);
          return has_L ? Tensors{s.z_H, s.z_L} : Tensors{s.z_H};
        },
        inputs);
    state = {outputs[0], has_L ? outputs[1] : Tensor()};
  }
  return state;
}

std::unique_ptr<GradientStrategy> make_gradient_strategy(const ModelConfig& config) {
  const std::string& rule = config.gradient;
  if (rule == "one_step") return std::make_unique<LastK>(2);
  if (rule == "last_cycle") return std::make_unique<LastK>(config.L_cycles + 1);
  if (rule == "full_bptt") return std::make_unique<FullBptt>();
  if (rule == "checkpointed") return std::make_unique<Checkpointed>();
  const std::string prefix = "last_k:";
  if (rule.starts_with(prefix)) {
    const std::string digits = rule.substr(prefix.size());
    if (!digits.empty() && digits.size() < 7 &&
        digits.find_first_not_of("0123456789") == std::string::npos && std::stoi(digits) >= 1)
      return std::make_unique<LastK>(std::stoi(digits));
  }
  detail::fail(
      "[config] gradient must be one_step, last_k:K (K >= 1), last_cycle, full_bptt or "
      "checkpointed, got '",
      rule, "'");
}

}  // namespace hrm

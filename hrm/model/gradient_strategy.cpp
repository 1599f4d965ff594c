#include "hrm/model/gradient_strategy.h"

#include <algorithm>
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

GradientCost LastK::cost(double updates) const {
  const double recorded = std::min(static_cast<double>(k_), updates);
  return {recorded, recorded};
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

// A stretch is recorded at a time, beside the states between stretches; every update runs forward
// once more, which is half a product.
GradientCost Checkpointed::cost(double updates) const {
  return {2 * std::sqrt(updates), 1.5 * updates};
}

}  // namespace hrm

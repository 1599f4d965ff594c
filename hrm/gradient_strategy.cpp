#include "hrm/gradient_strategy.h"

#include <charconv>
#include <cmath>
#include <sstream>

#include "autograd/checkpoint.h"
#include "autograd/grad_mode.h"
#include "hrm/equilibrium.h"

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
  // "name:number:number"
  std::vector<std::string> words;
  std::istringstream text(config.gradient);
  for (std::string word; std::getline(text, word, ':');) words.push_back(word);
  const auto number = [&](size_t i, double low, double high, bool whole) {
    double value = 0;
    if (words.empty()) return value;
    const char* end = words[i].data() + words[i].size();
    const auto [rest, error] = std::from_chars(words[i].data(), end, value);
    const bool fits = error == std::errc() && rest == end && value >= low && value <= high &&
                      (!whole || value == std::floor(value));
    if (!fits) words.clear();  // no rule
    return fits ? value : 0;
  };
  const auto is = [&](const char* name, size_t numbers) {
    return words.size() == numbers + 1 && words[0] == name;
  };
  const auto lambda = [&] { return number(1, 1e-6, 1, false); };
  const auto count = [&](size_t i, int64_t low) {
    return static_cast<int64_t>(number(i, static_cast<double>(low), 1e6, true));
  };
  std::unique_ptr<GradientStrategy> rule;
  if (is("one_step", 0)) rule = std::make_unique<LastK>(2);
  if (is("last_cycle", 0)) rule = std::make_unique<LastK>(config.L_cycles + 1);
  if (is("full_bptt", 0)) rule = std::make_unique<FullBptt>();
  if (is("checkpointed", 0)) rule = std::make_unique<Checkpointed>();
  if (is("last_k", 1)) rule = std::make_unique<LastK>(count(1, 1));
  if (is("neumann", 1)) rule = std::make_unique<Neumann>(count(1, 0));
  if (is("anderson", 1)) rule = std::make_unique<Anderson>(count(1, 1));
  if (is("broyden", 1)) rule = std::make_unique<Broyden>(count(1, 1));
  if (is("phantom", 2)) rule = std::make_unique<Phantom>(lambda(), count(2, 1));
  if (is("damped", 2)) rule = std::make_unique<DampedUnrolling>(lambda(), count(2, 1));
  CHECK(rule && !words.empty(),
        "[config] gradient must be one_step, last_k:K, last_cycle, full_bptt, checkpointed, "
        "neumann:K, phantom:LAMBDA:K, damped:LAMBDA:K, anderson:K or broyden:K, got '",
        config.gradient, "'");
  return rule;
}

}  // namespace hrm

// One segment of the recurrence as data: which network updates which state, in which order.
//
//     const Recurrence recurrence = model.recurrence();   // recurrence.updates: L L H L L H
//     for (const Level level : recurrence.updates) state = recurrence.apply(level, state, x);
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/node.h"
#include "hrm/config.h"

namespace hrm {

// Both states, [batch, prefix + seq, hidden] in the model's dtype. A single-level model has no z_L.
struct State {
  Tensor z_H, z_L;

  State detach() const { return {z_H.detach(), z_L.detach()}; }  // z_L may be undefined
};

enum class Level { H, L };

// H updates of a segment, and L updates before each.
struct Cycles {
  int64_t H = 0, L = 0;
  bool operator==(const Cycles&) const = default;
};

// HRM and TRM: (L x cycles.L, H) x cycles.H. Transformer: H once. Of a configuration: its own.
std::vector<Level> update_list(Levels levels, const Cycles& cycles);
inline std::vector<Level> update_list(const ModelConfig& config) {
  return update_list(config.levels, {config.H_cycles, config.L_cycles});
}

struct Recurrence {
  std::vector<Level> updates;
  // One update: z_L = L(z_L + (z_H + x)), or z_H = H(z_H + z_L) (single level: z_H = H(z_H + x)).
  std::function<State(Level, const State&, const Tensor& x)> apply;
  // The first `count` updates, without recording. On the CPU the batch is cut into slices, and each
  // thread takes its slices through all the updates: rows of a batch never meet, so nobody waits
  // for anybody, and a slice's activations stay in the cache of its core.
  State advance(const State& state, const Tensor& x, size_t count) const;
  // The same with `last` in place of the last of all updates; its result is [batch, 1, hidden].
  Tensor advance_to(const State& state, const Tensor& x,
                    const std::function<Tensor(const State&, const Tensor& x)>& last) const;
  // Weights that `apply` reads at a level (Checkpointed passes them on to the recomputation).
  std::function<Tensors(Level)> weights;
};

}  // namespace hrm

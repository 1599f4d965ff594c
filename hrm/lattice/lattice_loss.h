// What a lattice network is trained on.
//
//     const LatticeHeads heads = model.forward(to_tensor(domain, states), drop);
//     const LatticeLoss loss = lattice_loss(heads, targets, shares, config.lattice);
//     backward(loss.total);
#pragma once

#include "hrm/config.h"
#include "hrm/lattice/lattice_model.h"

namespace hrm {

// Of a batch of states, on the device.
struct LatticeTargets {
  Tensor alive;   // f32 [rows, cells, channels]: the candidates, 0 or 1
  Tensor keep;    // f32 [rows, cells, channels]: 1 where a candidate is alive and right
  Tensor symbol;  // i32 [rows, cells]: the right channel, or kIgnoreLabel where it is not asked for
  Tensor conflict;  // f32 [rows]: 1 where some cell has lost its right token

  LatticeTargets rows(int64_t begin, int64_t end) const;
  LatticeTargets to(Device device) const;
};

// Means over the loops and over the states of a step. A part of the states contributes its share:
// the losses of all parts add up to those of the step.
struct LatticeLoss {
  Tensor total;                   // what backward starts from
  Tensor keep, symbol, conflict;  // its parts, without their weights
};

// How many states a step has, and cells of them whose symbol is asked for.
struct LatticeShares {
  int64_t states = 0, symbols = 0;
};

// keep: binary cross entropy of every candidate, those that are right and wrong weighted by
// lattice_alive_weight and lattice_dead_weight, mean over all. symbol: softmax cross entropy, mean
// over the cells asked for. conflict: binary cross entropy, mean over the states. total = keep +
// lattice_symbol_loss * symbol + lattice_conflict_loss * conflict. `heads` are those of
// LatticeModel::forward, some loops of the rows of `targets`.
LatticeLoss lattice_loss(const LatticeHeads& heads, const LatticeTargets& targets,
                         const LatticeShares& step, const LatticeConfig& config);

}  // namespace hrm

#include "hrm/train/learner.h"

#include "hrm/train/lattice_step.h"
#include "hrm/train/train_step.h"
#include "nn/optim/muon.h"

namespace hrm {

int64_t depth_at(const TrainConfig& train, int64_t step, int64_t whole) {
  const double done = static_cast<double>(step - 1) / static_cast<double>(train.total_steps);
  if (!train.depth_curriculum || done >= 0.6) return whole;
  const int64_t thirds = done < 0.3 ? 1 : 2;
  return (whole * thirds + 2) / 3;
}

std::unique_ptr<Optimizer> make_optimizer(const Module& model, const TrainConfig& t) {
  const NamedParameters all = model.named_parameters(kOfficialPrefix);
  if (t.optimizer != OptimizerKind::muon) {
    const auto kind = t.optimizer == OptimizerKind::adamw ? AdamKind::adamw : AdamKind::adam_atan2;
    return std::make_unique<Adam>(
        all, AdamOptions{kind, t.beta1, t.beta2, t.weight_decay, AdamOptions{}.eps, t.clip_norm});
  }
  // Embeddings and heads are matrices, too, but map tokens to states or states to logits.
  NamedParameters matrices, others;
  for (const auto& [name, p] : all) {
    const bool in_layer = name.find(".layers.") != std::string::npos ||
                          name.find(".block.") != std::string::npos;  // of the context encoder
    const bool inside = p->value.ndim() == 2 && in_layer;
    (inside ? matrices : others).emplace_back(name, p);
  }
  return std::make_unique<Muon>(
      matrices, others,
      MuonOptions{t.momentum, t.weight_decay, t.clip_norm, t.beta1, t.beta2, MuonOptions{}.eps});
}

std::unique_ptr<Learner> make_learner(const Config& config, const PuzzleDataset& train,
                                      Device device, const Communicator& ranks) {
  if (config.is_lattice()) return std::make_unique<LatticeStep>(config, train, device, ranks);
  return std::make_unique<TrainStep>(config, train, device, ranks);
}

}  // namespace hrm

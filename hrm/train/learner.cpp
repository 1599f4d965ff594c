#include "hrm/train/learner.h"

#include "hrm/train/lattice_step.h"
#include "hrm/train/train_step.h"

namespace hrm {

int64_t depth_at(const TrainConfig& train, int64_t step, int64_t whole) {
  const double done = static_cast<double>(step - 1) / static_cast<double>(train.total_steps);
  if (!train.depth_curriculum || done >= 0.6) return whole;
  const int64_t thirds = done < 0.3 ? 1 : 2;
  return (whole * thirds + 2) / 3;
}

AdamOptions adam_options(const TrainConfig& t) {
  AdamOptions options;
  options.kind = t.optimizer;
  options.beta1 = t.beta1;
  options.beta2 = t.beta2;
  options.weight_decay = t.weight_decay;
  options.clip_norm = t.clip_norm;
  return options;
}

std::unique_ptr<Learner> make_learner(const Config& config, const PuzzleDataset& train,
                                      Device device) {
  if (config.is_lattice()) return std::make_unique<LatticeStep>(config, train, device);
  return std::make_unique<TrainStep>(config, train, device);
}

}  // namespace hrm

#include "hrm/train/learner.h"

#include "hrm/train/lattice_step.h"
#include "hrm/train/train_step.h"

namespace hrm {

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

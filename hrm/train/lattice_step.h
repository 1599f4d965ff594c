// One optimizer step of lattice deduction: the gradient of the whole pool, the update of the
// weights, and one round of every state by the new weights.
//
//     LatticeStep step(config, train, Device::cpu);
//     MetricsWindow window(step.columns(), Device::cpu);
//     for (int64_t i = 1; i <= config.train.total_steps; ++i) step.run(i, window);
#pragma once

#include <memory>
#include <optional>

#include "hrm/eval/solve_lattice.h"
#include "hrm/train/lattice_pool.h"
#include "hrm/train/learner.h"
#include "hrm/train/micro_batches.h"
#include "nn/optim/ema.h"
#include "nn/optim/schedule.h"

namespace hrm {

class LatticeStep : public Learner {
 public:
  // Several ranks share out the micro-batches, of which there must be as many.
  LatticeStep(const Config& config, const PuzzleDataset& train, Device device,
              const Communicator& ranks = {});

  void run(int64_t step, MetricsWindow& window) override;
  const std::vector<MetricColumn>& columns() const override;
  double lr(int64_t step) const override { return schedule_(config_.train.lr, step); }
  Device device() const override { return model_.device(); }
  LatticeModel& module() override { return model_; }
  const LatticeModel& module() const override { return model_; }
  const Pool& pool() const { return pool_; }
  EvalResult evaluate(const PuzzleDataset& test, const EvalOptions& options) const override;
  void swap_averages() override;
  NamedTensors training_tensors() const override;
  void restore(const NamedTensors& training, const Members& state,
               std::vector<std::string>& notes) override;

 private:
  void learn(int64_t step, MetricsWindow& window);
  void check_finite(int64_t step, const Tensor& loss) const;

  Config config_;
  MicroBatches micro_batches_;
  Domain domain_;
  LatticeModel model_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<Ema> ema_;
  Schedule schedule_;
  Pool pool_;  // of this rank
};

}  // namespace hrm

// One optimizer step on a device: rows from the queue into the carry, a segment of every slot, its
// gradient, and the update of the weights, all queued without waiting. On a GPU the launches of a
// step are recorded once and replayed. The host reads late whether a step was finite.
//
//     TrainStep step(config, train, Device::cpu);
//     MetricsWindow window(step.columns(), Device::cpu);
//     for (int64_t i = 1; i <= config.train.total_steps; ++i) step.run(i, window);
//     step.finish();
//
// A step is computed in micro-batches, by one rank or by several, and has the same bits whoever
// computes which of them.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hrm/model/segment.h"
#include "hrm/train/learner.h"
#include "hrm/train/micro_batches.h"
#include "hrm/train/not_finite.h"
#include "hrm/train/row_queue.h"
#include "nn/optim/ema.h"
#include "nn/optim/schedule.h"
#include "tensor/transfer.h"

namespace hrm {

// The cycles that step number `step` (from 1) trains, see depth_at.
Cycles cycles_at(const Config& config, int64_t step);

class TrainStep : public Learner {
 public:
  // Random weights of config.train.seed. The data must fit config.model and outlive this object.
  // Several ranks share out the micro-batches, of which there must be as many.
  TrainStep(const Config& config, const PuzzleDataset& train, Device device,
            const Communicator& ranks = {});
  ~TrainStep() override;

  // NotFinite comes on a GPU with up to two steps' delay. A recorded step keeps the address of the
  // window.
  void run(int64_t step, MetricsWindow& window) override;
  void finish() override { check_finished(0); }
  const std::vector<MetricColumn>& columns() const override;
  double lr(int64_t step) const override { return schedule_(config_.train.lr, step); }

  // The default on a GPU, with one rank.
  void use_cuda_graph(bool on) override { use_graph_ = on; }
  bool replays() const override;
  Device device() const override { return rates_.device(); }
  Model& module() override { return model_; }
  const Model& module() const override { return model_; }
  const Carry& carry() const { return carry_; }  // as the last step left it: this rank's slots
  EvalResult evaluate(const PuzzleDataset& test, const EvalOptions& options) const override;
  void swap_averages() override;

  // Tensors: moments, averages, carry.
  NamedTensors training_tensors() const override;
  void add_state(Json& state) const override;
  void restore(const NamedTensors& training, const Members& state,
               std::vector<std::string>& notes) override;

 private:
  bool records() const;
  void queue_inputs(int64_t step);
  int64_t late_segments(int64_t step, const Cycles& cycles) const;
  void run_late(MetricsWindow& window, int64_t ahead);
  void run_on_device(MetricsWindow& window, int64_t ahead = 0);
  Slots slots_of(const Range& rows) const;
  std::vector<SegmentResult> run_micro_batch(int64_t number, int64_t ahead);
  void replay(MetricsWindow& window, const Cycles& cycles);
  void record(MetricsWindow& window);
  void launch_from_now_on(MetricsWindow& window);
  void raise_flags(const Tensors& losses, const Tensor& puzzle_grad);
  void apply_gradients(const std::vector<SegmentResult>& parts, const Tensors& losses);
  void check_finished(size_t under_way);

  Config config_;
  MicroBatches micro_batches_;
  Model model_;
  TrainSampler sampler_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<Ema> ema_;
  Schedule schedule_;
  Random exploration_;
  Exploration draws_;  // of the whole batch
  Carry carry_;

  // flags_[i] is raised by a value that is not finite: 0 the loss, then every gradient in order of
  // flag_names_; the last element counts the rows taken from queue_. skip_ is the maximum of the
  // flags, and masks every update from the first bad step on. The host reads flags_ as they were
  // behind each step, late: `steps_ahead_` steps may be queued that it has not seen.
  std::vector<std::string> flag_names_;
  Tensor flags_, skip_;
  size_t steps_ahead_;
  struct InFlight {
    int64_t step;
    Readback flags;
  };
  std::deque<InFlight> in_flight_;
  std::vector<Readback> idle_;  // readbacks to use again
  std::optional<NotFinite> failure_;
  RowQueue queue_;

  // The rates of the optimizer, then those of the puzzle table: on the device, and the host's
  // copies of the steps that may be under way.
  Tensor rates_;
  std::vector<Tensor> host_rates_;

  bool use_graph_ = true;
  struct Recording;  // of a step, on a GPU
  std::unique_ptr<Recording> recording_;
};

}  // namespace hrm

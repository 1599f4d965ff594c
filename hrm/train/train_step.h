// One optimizer step on a device: rows from the queue into the carry, a segment of every slot, its
// gradient, and the update of the weights, all queued without waiting. On a GPU the launches of a
// step are recorded once and replayed. The host reads late whether a step was finite.
//
//     TrainStep step(config, train, Device::cpu);
//     for (int64_t i = 1; i <= config.train.total_steps; ++i) step.run(i, metrics);
//     step.finish();
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hrm/model/segment.h"
#include "hrm/train/metrics_window.h"
#include "hrm/train/not_finite.h"
#include "hrm/train/row_queue.h"
#include "nn/optim/ema.h"
#include "nn/optim/schedule.h"
#include "tensor/transfer.h"

namespace hrm {

// The cycles that step number `step` (from 1) trains: those of the configuration, or with its
// depth_curriculum a third of them in the first 30 % of the steps and two thirds in the next 30 %,
// rounded up (progressive depth curriculum, arXiv 2511.08653, section 3.3).
Cycles cycles_at(const Config& config, int64_t step);

class TrainStep {
 public:
  // Random weights of config.train.seed. The data must fit config.model and outlive this object.
  TrainStep(const Config& config, const PuzzleDataset& train, Device device);
  ~TrainStep();

  // Queues step number `step` (from 1), whose sums go to `window`: the same one at every call,
  // since a recorded step keeps its address, and one that outlives this object's steps. On the CPU
  // the step is done when this returns. Throws NotFinite for an earlier step (on a GPU with up to
  // two steps' delay).
  void run(int64_t step, MetricsWindow& window);
  // Waits for all that is queued. Throws NotFinite.
  void finish() { check_finished(0); }

  // On a GPU: record the launches of a step and replay them together (the default there).
  void use_cuda_graph(bool on) { use_graph_ = on; }
  bool replays() const;  // whether steps are replayed by now
  Device device() const { return rates_.device(); }
  // The learning rate of a step.
  double lr(int64_t step) const { return schedule_(config_.train.lr, step); }

  Model& model() { return model_; }
  const Model& model() const { return model_; }
  const Carry& carry() const { return carry_; }  // as the last step left it
  // Exchanges the weights with their averages, if the run keeps any: for an evaluation, and back.
  void swap_averages();

  // What a checkpoint holds of it, beside the weights: tensors (moments, averages, carry), and
  // members of state.json. restore() throws one line if they are of another model.
  NamedTensors training_tensors() const;
  void add_state(Json& state) const;
  void restore(const NamedTensors& training, const Members& state, std::vector<std::string>& notes);

 private:
  void queue_inputs(int64_t step);
  void run_on_device(MetricsWindow& window);
  void replay(MetricsWindow& window, const Cycles& cycles);
  void record(MetricsWindow& window);
  void launch_from_now_on(MetricsWindow& window);
  void raise_flags(const std::vector<SegmentResult>& parts, const Tensor& puzzle_grad);
  void apply_gradients(const std::vector<SegmentResult>& parts);
  void check_finished(size_t under_way);

  Config config_;
  Model model_;
  TrainSampler sampler_;
  Adam adam_;
  std::optional<Ema> ema_;
  Schedule schedule_;
  Random exploration_;
  Exploration draws_;
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

  // The rates of Adam, then those of the puzzle table: on the device, and the host's copies of the
  // steps that may be under way.
  Tensor rates_;
  std::vector<Tensor> host_rates_;

  bool use_graph_ = true;
  struct Recording;  // of a step, on a GPU
  std::unique_ptr<Recording> recording_;
};

}  // namespace hrm

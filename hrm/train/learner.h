// What a Trainer repeats: the optimizer step and the evaluation of one kind of model. TrainStep
// (train_step.h) is that of HRM and its relatives, LatticeStep (lattice_step.h) that of lattice
// deduction.
//
//     const std::unique_ptr<Learner> learner = make_learner(config, train, Device::cpu);
//     MetricsWindow window(learner->columns(), Device::cpu);
//     for (int64_t i = 1; i <= config.train.total_steps; ++i) learner->run(i, window);
//     learner->finish();
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hrm/eval/evaluate.h"
#include "hrm/train/metrics_window.h"
#include "nn/distributed/communicator.h"
#include "nn/optim/optimizer.h"

namespace hrm {

class Learner {
 public:
  virtual ~Learner() = default;

  // Queues step number `step` (from 1), whose sums go to `window`: the same one at every call, and
  // one that outlives this object's steps. On the CPU the step is done when this returns. Throws
  // NotFinite if an earlier step met a value that is not finite.
  virtual void run(int64_t step, MetricsWindow& window) = 0;
  // Waits for all that is queued. Throws NotFinite.
  virtual void finish() {}
  // What the sums of a step are called, and what they become in a line of metrics.jsonl.
  virtual const std::vector<MetricColumn>& columns() const = 0;
  // The learning rate of a step.
  virtual double lr(int64_t step) const = 0;

  virtual Device device() const = 0;
  virtual Module& module() = 0;
  virtual const Module& module() const = 0;
  virtual EvalResult evaluate(const PuzzleDataset& test, const EvalOptions& options) const = 0;
  // Exchanges the weights with their averages, if the run keeps any: for an evaluation, and back.
  virtual void swap_averages() = 0;

  // What a checkpoint holds of it, beside the weights: tensors, and members of state.json.
  // restore() throws one line if they are of another model, and adds to `notes` what the user
  // should know.
  virtual NamedTensors training_tensors() const = 0;
  virtual void add_state(Json&) const {}
  virtual void restore(const NamedTensors& training, const Members& state,
                       std::vector<std::string>& notes) = 0;

  // On a GPU: record the launches of a step and replay them together.
  virtual void use_cuda_graph(bool) {}
  virtual bool replays() const { return false; }  // whether steps are replayed by now
};

// The share of a depth of `whole` that step number `step` (from 1) trains: all of it, or with
// train.depth_curriculum a third in the first 30 % of the steps and two thirds in the next 30 %,
// rounded up (progressive depth curriculum, arXiv 2511.08653, section 3.3).
int64_t depth_at(const TrainConfig& train, int64_t step, int64_t whole);

// Of all parameters of a model.
std::unique_ptr<Optimizer> make_optimizer(const Module& model, const TrainConfig& train);
// Of the model that the configuration describes, with random weights of its seed. The data must fit
// the configuration and outlive the learner. Of several ranks each makes its own, and all calls but
// device(), module() and lr() are made by all of them together.
std::unique_ptr<Learner> make_learner(const Config& config, const PuzzleDataset& train,
                                      Device device, const Communicator& ranks = {});

}  // namespace hrm

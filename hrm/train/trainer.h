// Training: deep supervision over a carry, evaluation on the way, checkpoints from which a run goes
// on bit for bit.
#pragma once

#include <functional>
#include <optional>

#include "hrm/eval/evaluate.h"
#include "hrm/model/segment.h"
#include "hrm/train/checkpoint.h"
#include "hrm/train/row_queue.h"
#include "nn/optim/ema.h"
#include "nn/optim/schedule.h"
#include "tensor/transfer.h"

namespace hrm {

// Averages over the steps of one line of metrics.jsonl. Accuracies and segments count the puzzles
// that were finished in those steps.
struct TrainMetrics {
  int64_t step = 0, samples = 0;
  double loss = 0, lm_loss = 0, q_halt_loss = 0, q_continue_loss = 0;
  double finished = 0, accuracy = 0, exact_accuracy = 0, q_halt_accuracy = 0, steps = 0;
  double lr = 0, elapsed = 0, samples_per_second = 0;
  Json to_json() const;
};

// What a resumed run says of itself before it goes on.
struct Resumed {
  std::vector<std::string> damaged;  // a line for each newer checkpoint that was passed over
  std::vector<std::string> notes;    // what else the user should know
  std::vector<Difference> changes;   // settings with another value than in the checkpoint
};

struct TrainCallbacks {
  std::function<void(const TrainMetrics&)> on_metrics;  // of every line of metrics.jsonl
  // Before an evaluation. The checkpoint of this step is complete by then: whoever ends the program
  // now loses nothing, and the evaluation is made when the run is resumed.
  std::function<void(int64_t step)> on_eval_start;
  std::function<void(int64_t done, int64_t total)> on_eval_progress;
  std::function<void(const EvalResult&, bool best)> on_eval;
  std::function<void(const Path&)> on_checkpoint;
  // Set: finish the step, write a checkpoint, return. An evaluation that is due is left for later.
  std::function<bool()> stop;
};

// An Error if a data set has other sizes than the model.
void check_dataset_fits(const ModelConfig& model, const PuzzleDataset& data);

enum class TrainOutcome { finished, stopped, early_stopped };

class Trainer {
 public:
  // `run` is the run folder (created by the caller, with config.json in it). `test` may be null: no
  // evaluations. The data must fit config.model.
  Trainer(const Config& config, const PuzzleDataset& train, const PuzzleDataset* test, Path run,
          Device device = Device::cpu);
  ~Trainer();

  // On a GPU: record the launches of a step once and replay them together (the default there).
  void use_cuda_graph(bool on) { use_graph_ = on; }
  bool replays() const;  // whether steps are replayed by now
  // Starts from the weights of another run, with the puzzle rows of the same name and the mean of
  // all for the others; tables without names are taken row by row. Returns how many were found.
  // run() then begins with a checkpoint, so that the run never depends on that other one again.
  int64_t start_from(const Model& model, const std::vector<uint64_t>& names);
  // Goes on from the newest checkpoint of the run folder that is whole and cuts metrics.jsonl back
  // to it, with a line about what has changed. Throws if the checkpoint is of another data set, or
  // of a configuration that differs in more than may_change_on_resume allows.
  Resumed resume();
  // Trains until config.train.total_steps. Writes a checkpoint every checkpoint_every steps, before
  // each evaluation and at the end; metrics.jsonl; evaluation.json and best/ at evaluations.
  TrainOutcome run(const TrainCallbacks& callbacks);
  // Queues one optimizer step; on the CPU it is done when this returns. Throws if an earlier step
  // met a value that is not finite (on a GPU with up to two steps' delay).
  void step();
  int64_t steps_done() const { return step_; }
  // Whether run() has nothing to do any more.
  bool finished() const {
    return !evaluation_due_ && (step_ >= config_.train.total_steps || stopped_early());
  }
  const Model& model() const { return model_; }
  const Config& config() const { return config_; }
  double elapsed() const { return elapsed_; }
  const Carry& carry() const { return carry_; }  // as the last step left it

 private:
  Json state() const;
  bool stopped_early() const;
  Checkpoint snapshot() const;
  void save(const TrainCallbacks& callbacks);
  std::vector<Difference> check_same_run(const Members& state) const;
  void restore(const Checkpoint& checkpoint, const Members& state, std::vector<std::string>& notes);
  std::string nonfinite_message(const std::string& what, int64_t step) const;
  void run_step();
  void replay_step();
  void record_step();
  void launch_from_now_on();
  void apply_gradients(const std::vector<SegmentResult>& parts);
  void settle(size_t under_way);
  TrainOutcome train_step(const TrainCallbacks& callbacks);
  TrainOutcome evaluate_now(const TrainCallbacks& callbacks);
  void log_metrics();
  void report_metrics(const TrainCallbacks& callbacks, bool wait);
  void append_line(const Json& line);
  void cut_metrics(int64_t bytes);

  Config config_;
  const PuzzleDataset& train_;
  const PuzzleDataset* test_;
  Path run_;
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
  struct UnderWay {
    int64_t step;
    Readback flags;
  };
  std::deque<UnderWay> under_way_;
  std::vector<Readback> idle_;  // readbacks to use again
  std::string failure_;
  RowQueue queue_;

  // The rates of Adam, then those of the puzzle table: on the device, and the host's copies of the
  // steps that may be under way.
  Tensor rates_;
  std::vector<Tensor> host_rates_;

  bool use_graph_ = true;
  struct Recording;  // of a step, on a GPU
  std::unique_ptr<Recording> recording_;
  int64_t step_ = 0, samples_ = 0;
  double elapsed_ = 0, window_started_ = 0;
  double best_ = -1;
  int64_t best_step_ = 0, evaluations_since_best_ = 0;
  bool evaluation_due_ = false;  // at this step, and not made yet
  bool started_from_ = false;    // another run's weights
  bool resumed_ = false;
  Tensor window_;  // f64 sums since the last metrics line: see trainer.cpp
  int64_t window_steps_ = 0;
  // A metrics line whose sums are on their way from the device.
  Readback window_values_;
  std::optional<TrainMetrics> pending_metrics_;
  double pending_rows_ = 0;
  std::vector<uint64_t> puzzle_names_;
  std::string data_identity_, test_identity_;  // of the training set; of the test split
};

// What a run will need, estimated before it starts.
struct Estimate {
  double memory_bytes = 0, available_bytes = 0;  // of the process; of the machine (the GPU) now
  double fixed_bytes = 0;                      // of memory_bytes: what does not grow with the batch
  int64_t fitting_batch = 0;                   // the largest batch_size that would fit
  double disk_bytes = 0, free_disk_bytes = 0;  // checkpoints kept; space where the run is
  Path disk;                                   // the folder whose space that is
  bool keeps_several = false;                  // checkpoints: fewer would need less of it
  double flops_per_sample = 0, seconds = 0;    // training only, from a short measured product
};
Estimate estimate(const Config& config, const Path& run, Device device = Device::cpu);
// The batch_size to advise when a run that passed check_fits has run out of memory all the same, so
// that its estimate was too low: one whose estimate takes half of what there is. 0: none fits.
int64_t batch_after_failure(const Config& config, const Path& run, Device device);
// Throws one line if the estimate does not fit the machine.
void check_fits(const Estimate& estimate);

}  // namespace hrm

// Training: deep supervision over a carry, evaluation on the way, checkpoints from which a run goes
// on bit for bit. A loop over TrainStep; MetricsWindow has the numbers, RunFiles the files.
//
//     Trainer trainer(config, train, &test, "runs/mine");
//     trainer.run({});
//
// Of several ranks each has a Trainer, and all make the same calls. All call back, and any may ask
// for a stop; the first rank alone writes into the run folder, which all of them must see.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hrm/eval/evaluate.h"
#include "hrm/train/learner.h"
#include "hrm/train/metrics_window.h"
#include "hrm/train/run_files.h"
#include "hrm/train/train_step.h"

namespace hrm {

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
  // Several ranks share out the micro-batches, of which there must be as many; an Error if they
  // have other settings or data than the first.
  Trainer(const Config& config, const PuzzleDataset& train, const PuzzleDataset* test, Path run,
          Device device = Device::cpu, const Communicator& ranks = {});

  // See Learner.
  void use_cuda_graph(bool on) { learner_->use_cuda_graph(on); }
  bool replays() const { return learner_->replays(); }
  // Starts from the weights of another run, with the puzzle rows of the same name and the mean of
  // all for the others; tables without names are taken row by row. Returns how many were found.
  // run() then begins with a checkpoint, so that the run never depends on that other one again.
  int64_t start_from(const Module& model, const std::vector<uint64_t>& names);
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
  int64_t steps_done() const { return steps_; }
  // Whether run() has nothing to do any more.
  bool finished() const {
    return !evaluation_due_ && (steps_ >= config_.train.total_steps || stopped_early());
  }
  bool stopped_early() const {
    return steps_ < config_.train.total_steps && !reason_to_stop().empty();
  }
  // Why the last evaluations end the training where it is; "" if they do not. A run that is resumed
  // does not go on either, unless early_stop or early_stop_accuracy says otherwise now.
  std::string reason_to_stop() const;
  const Module& module() const { return learner_->module(); }
  Device device() const { return learner_->device(); }
  const Config& config() const { return config_; }
  double elapsed() const { return elapsed_; }
  // Of a refinement by segments: an Error for a lattice. The carry is as the last step left it.
  const Model& model() const { return by_segments().module(); }
  const Carry& carry() const { return by_segments().carry(); }

 private:
  template <class F>
  auto with_advice(const F& action);
  void finish_steps();
  void check_same_on_all_ranks() const;
  void check_same_weights() const;
  bool asked_to_stop(const TrainCallbacks& callbacks) const;
  const TrainStep& by_segments() const;
  bool has_puzzle_table() const;
  Json state() const;
  Checkpoint snapshot() const;
  void save(const TrainCallbacks& callbacks);
  std::vector<Difference> check_same_run(const Members& state) const;
  void restore(const Checkpoint& checkpoint, const Members& state, std::vector<std::string>& notes);
  TrainOutcome train_step(const TrainCallbacks& callbacks);
  TrainOutcome evaluate_now(const TrainCallbacks& callbacks);
  EvalResult judge(const TrainCallbacks& callbacks, bool last);
  bool keep_if_best(const EvalResult& result);
  void write_evaluation(const EvalResult& result) const;
  void start_metrics();
  void write_metrics(const TrainCallbacks& callbacks, bool wait);

  Config config_;
  const PuzzleDataset& train_;
  const PuzzleDataset* test_;
  Communicator ranks_;
  RunFiles files_;
  std::unique_ptr<Learner> learner_;

  int64_t steps_ = 0, samples_ = 0;
  double elapsed_ = 0;
  MetricsWindow window_;  // of the steps since the last line of metrics.jsonl
  double window_started_ = 0;
  int64_t window_steps_ = 0;
  double best_ = -1;
  int64_t best_step_ = 0, evaluations_since_best_ = 0;
  std::vector<double> recent_;   // exact accuracies of the last two evaluations, the newest last
  bool evaluation_due_ = false;  // at this step, and not made yet
  bool started_from_ = false;    // another run's weights
  bool resumed_ = false;
  std::vector<uint64_t> puzzle_names_;
  std::string data_identity_, test_identity_;  // of the training set; of the test split
};

}  // namespace hrm

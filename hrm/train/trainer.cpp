#include "hrm/train/trainer.h"

#include <algorithm>

#include <fmt/core.h>

#include "hrm/support/progress.h"
#include "hrm/support/text.h"

namespace hrm {
namespace {

// A configuration that is valid, and fits its data.
const Config& checked(const Config& config, const PuzzleDataset& train, const PuzzleDataset* test) {
  config.validate();
  check_dataset_fits(config.model, train);
  if (test) check_dataset_fits(config.model, *test);
  return config;
}

int64_t log_interval(const TrainConfig& t) {
  return std::clamp<int64_t>(t.total_steps / 200, 1, 50);
}

}  // namespace

void check_dataset_fits(const ModelConfig& model, const PuzzleDataset& data) {
  const DatasetInfo& info = data.info();
  const auto same = [&](const char* what, int64_t wanted, int64_t got) {
    HRM_CHECK(wanted == got, "[data] the model has ", what, " ", wanted, ", the data set ",
              data.folder().string(), " has ", got);
  };
  same("seq_len", model.seq_len, info.seq_len);
  same("vocab_size", model.vocab_size, info.vocab_size);
  same("num_puzzle_identifiers", model.num_puzzle_identifiers, info.num_puzzle_identifiers);
  same("tokens a row", model.input_len(), data.input_len());
}

Trainer::Trainer(const Config& config, const PuzzleDataset& train, const PuzzleDataset* test,
                 Path run, Device device)
    : config_(checked(config, train, test)),
      train_(train),
      test_(test),
      files_(std::move(run)),
      learner_(make_learner(config, train, device)),
      window_(learner_->columns(), device),
      puzzle_names_(has_puzzle_table() ? train.puzzle_names() : std::vector<uint64_t>()),
      data_identity_(train.identity()),
      test_identity_(!test                                  ? ""
                     : test->examples().holds_both_splits() ? data_identity_
                                                            : test->identity()) {}

const TrainStep& Trainer::by_segments() const {
  const auto* step = dynamic_cast<const TrainStep*>(learner_.get());
  HRM_CHECK(
      step,
      "[train] a lattice has no segments, and no gradient rules. HINT: a run or a preset of HRM");
  return *step;
}

bool Trainer::has_puzzle_table() const {
  return std::ranges::any_of(module().named_buffers(),
                             [](const auto& b) { return b.first == "puzzle_emb.weights"; });
}

// What `action` returns; a step that was not finite becomes an Error with advice.
template <class F>
auto Trainer::with_advice(const F& action) {
  try {
    return action();
  } catch (const NotFinite& failure) {
    throw Error(advice(failure, config_, files_.path()));
  }
}

void Trainer::step() {
  with_advice([&] { learner_->run(steps_ + 1, window_); });
  ++steps_;
  samples_ += config_.train.step_rows();
  ++window_steps_;
}

void Trainer::finish_steps() {
  with_advice([&] { learner_->finish(); });
}

void Trainer::save(const TrainCallbacks& callbacks) {
  finish_steps();
  const Path folder = files_.save(snapshot(), steps_, config_.train.keep_checkpoints);
  if (callbacks.on_checkpoint) callbacks.on_checkpoint(folder);
}

// Starts a line of metrics for the steps since the last one.
void Trainer::start_metrics() {
  TrainMetrics line;
  line.step = steps_;
  line.samples = samples_;
  line.lr = learner_->lr(steps_);
  line.elapsed = elapsed_;
  const auto rows = static_cast<double>(window_steps_ * config_.train.step_rows());
  line.samples_per_second = rows / std::max(1e-9, elapsed_ - window_started_);
  window_.start(line, rows);
  window_steps_ = 0;
  window_started_ = elapsed_;
}

// Writes the line that was started, if its sums are there, or waits for them.
void Trainer::write_metrics(const TrainCallbacks& callbacks, bool wait) {
  const std::optional<TrainMetrics> line = window_.finished_line(wait);
  if (!line) return;
  files_.append_metrics(line->to_json());
  if (callbacks.on_metrics) callbacks.on_metrics(*line);
}

std::string Trainer::reason_to_stop() const {
  const TrainConfig& t = config_.train;
  if (t.early_stop > 0 && evaluations_since_best_ >= t.early_stop)
    return fmt::format("no new best in the last {} evaluations", evaluations_since_best_);
  if (t.early_stop_accuracy > 0 && recent_.size() == 2 &&
      std::ranges::min(recent_) >= t.early_stop_accuracy)
    return fmt::format("the last two evaluations solved {:.1f} % and {:.1f} %", 100 * recent_[0],
                       100 * recent_[1]);
  return "";
}

// Whether this result is the best so far; if so, its weights are kept in best/.
bool Trainer::keep_if_best(const EvalResult& result) {
  if (!(result.exact_accuracy > best_)) {
    ++evaluations_since_best_;
    return false;
  }
  best_ = result.exact_accuracy;
  best_step_ = steps_;
  evaluations_since_best_ = 0;
  Checkpoint weights;
  weights.model = module().state_dict(kOfficialPrefix);
  weights.puzzle_names = puzzle_names_;
  weights.state = {{"step", steps_}, {"exact_accuracy", best_}};
  files_.save_best(weights);
  return true;
}

// An evaluation with the puzzles of the last one, or those of one on the way.
EvalResult Trainer::judge(const TrainCallbacks& callbacks, bool last) {
  const TrainConfig& t = config_.train;
  EvalOptions options;
  options.max_puzzles = last && t.final_eval_puzzles >= 0 ? t.final_eval_puzzles : t.eval_puzzles;
  options.traces = last ? 12 : 4;
  options.allow_nan = true;
  // Its answer is that of the segment at which it stops; later ones hardly count in its loss.
  options.halting = config_.model.halting == Halting::ponder;
  options.on_progress = callbacks.on_eval_progress;
  EvalResult result = learner_->evaluate(*test_, options);
  result.step = steps_;
  return result;
}

// evaluation.json, and a line in metrics.jsonl.
void Trainer::write_evaluation(const EvalResult& result) const {
  files_.write_evaluation(to_json(result));
  files_.append_metrics({{"eval", true},
                         {"step", steps_},
                         {"samples", samples_},
                         {"elapsed", elapsed_},
                         {"puzzles", result.count},
                         {"exact_accuracy", result.exact_accuracy},
                         {"accuracy", result.accuracy},
                         {"mean_steps", result.mean_steps},
                         {"seconds", result.seconds}});
}

// The evaluation that is due, with its files and best/. Early stop and stop requests are the
// outcome.
TrainOutcome Trainer::evaluate_now(const TrainCallbacks& callbacks) {
  finish_steps();
  const TrainConfig& t = config_.train;
  const bool last = steps_ >= t.total_steps;
  if (callbacks.on_eval_start) callbacks.on_eval_start(steps_);
  learner_->swap_averages();
  EvalResult result = judge(callbacks, last);
  const bool best = keep_if_best(result);
  recent_.push_back(result.exact_accuracy >= 0 ? result.exact_accuracy : 0);  // it may be NaN
  if (recent_.size() > 2) recent_.erase(recent_.begin());
  // An end that comes early has the evaluation of the planned one, too.
  const bool other_puzzles = t.final_eval_puzzles >= 0 && t.final_eval_puzzles != t.eval_puzzles;
  if (stopped_early() && other_puzzles) result = judge(callbacks, true);
  learner_->swap_averages();
  write_evaluation(result);
  evaluation_due_ = false;
  write_checkpoint_state(checkpoint_path(files_.path(), steps_), state());
  if (callbacks.on_eval) callbacks.on_eval(result, best);
  return stopped_early() ? TrainOutcome::early_stopped : TrainOutcome::finished;
}

// One step with all that follows from it.
TrainOutcome Trainer::train_step(const TrainCallbacks& callbacks) {
  const TrainConfig& t = config_.train;
  const auto stopping = [&] { return callbacks.stop && callbacks.stop(); };
  const double started = seconds_now();
  step();
  const bool last = steps_ == t.total_steps;
  evaluation_due_ = test_ && (last || (t.eval_every > 0 && steps_ % t.eval_every == 0));
  const bool saves = last || evaluation_due_ || steps_ % t.checkpoint_every == 0 || stopping();
  if (saves) finish_steps();
  elapsed_ += seconds_now() - started;
  write_metrics(callbacks, false);
  if (steps_ % log_interval(t) == 0 || last) {
    write_metrics(callbacks, true);
    start_metrics();
  }
  write_metrics(callbacks, saves);
  if (saves) save(callbacks);
  // Asked once more: who stops the run while a metrics line is written finds a checkpoint, too.
  if (stopping()) {
    if (!saves) {
      finish_steps();
      write_metrics(callbacks, true);
      save(callbacks);
    }
    return TrainOutcome::stopped;
  }
  return evaluation_due_ ? evaluate_now(callbacks) : TrainOutcome::finished;
}

TrainOutcome Trainer::run(const TrainCallbacks& callbacks) {
  if (steps_ == 0 && !resumed_) {
    files_.cut_metrics(0);  // of a run that was killed before its first checkpoint
    if (started_from_) save(callbacks);
  }
  TrainOutcome outcome = TrainOutcome::finished;
  if (evaluation_due_ && test_) outcome = evaluate_now(callbacks);
  if (!evaluation_due_ && stopped_early()) outcome = TrainOutcome::early_stopped;
  while (outcome == TrainOutcome::finished && steps_ < config_.train.total_steps)
    outcome = train_step(callbacks);
  return outcome;
}

}  // namespace hrm

#include "hrm/train/trainer.h"

#include <algorithm>
#include <limits>
#include <sstream>

#include "hrm/support/progress.h"
#include "hrm/support/text.h"

namespace hrm {
namespace fs = std::filesystem;
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
    CHECK(wanted == got, "[data] the model has ", what, " ", wanted, ", the data set ",
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
      step_(config, train, device),
      window_(device),
      puzzle_names_(step_.model().puzzle_emb ? train.puzzle_names() : std::vector<uint64_t>()),
      data_identity_(train.identity()),
      test_identity_(!test                                  ? ""
                     : test->examples().holds_both_splits() ? data_identity_
                                                            : test->identity()) {}

// What a step that was not finite means, and what may help: a lower rate, from the newest
// checkpoint if that is far enough back, or from the start.
std::string Trainer::advice(const NotFinite& failure) const {
  const int64_t step = failure.step();
  std::string checkpoint;
  int64_t saved = -1;
  for (const Path& folder : list_checkpoints(files_.path()))
    if (const int64_t at = step_of_checkpoint(folder); at < step) {
      checkpoint = folder.filename().string();
      saved = at;
    }
  const TrainConfig& t = config_.train;
  std::ostringstream text;
  text << failure.what() << "; no update was made from there on";
  std::ostringstream rate;  // the one that is in use: `hrm adapt` may train the puzzle's rows alone
  rate << "--set " << (t.lr > 0 ? "lr=" : "puzzle_emb_lr=")
       << (t.lr > 0 ? t.lr : t.puzzle_emb_lr) / 10;
  if (config_.data.empty()) {  // adapt and farm: nothing of the run is kept
    text << ". HINT: a lower rate may help: " << rate.str();
  } else if (saved + 1 == step && saved >= 0) {
    text << ", and the weights of " << checkpoint
         << " lead there at once. HINT: start anew, in another --run folder with " << rate.str();
  } else {
    const bool plain = files_.path().string().find(' ') == std::string::npos;
    const std::string name = plain ? files_.path().string() : "'" + files_.path().string() + "'";
    text << (saved < 0 ? "; there is no checkpoint yet, so the run starts anew"
                       : "; the checkpoint before it is " + checkpoint)
         << ". HINT: a lower rate may help: `hrm train --run " << name << " --resume " << rate.str()
         << "`";
    // The steps of adam_atan2 do not depend on the size of the gradient.
    if (t.optimizer == OptimizerKind::adamw) text << ", or --set clip_norm=1";
  }
  return text.str();
}

// What `action` returns; a step that was not finite becomes an Error with advice.
template <class F>
auto Trainer::with_advice(const F& action) {
  try {
    return action();
  } catch (const NotFinite& failure) {
    throw Error(advice(failure));
  }
}

void Trainer::step() {
  with_advice([&] { step_.run(steps_ + 1, window_); });
  ++steps_;
  samples_ += config_.train.step_rows();
  ++window_steps_;
}

void Trainer::finish_steps() {
  with_advice([&] { step_.finish(); });
}

Json Trainer::state() const {
  Json state = {{"step", steps_},
                {"samples", samples_},
                {"elapsed", elapsed_},
                {"window_started", window_started_},
                {"window_steps", window_steps_},
                {"best", best_},
                {"best_step", best_step_},
                {"evaluations_since_best", evaluations_since_best_},
                {"evaluation_due", evaluation_due_},
                {"metrics_bytes", files_.metrics_bytes()},
                {"data", data_identity_},
                {"test_data", test_identity_},
                {"config", config_.to_json()}};
  step_.add_state(state);
  return state;
}

Checkpoint Trainer::snapshot() const {
  Checkpoint c;
  c.model = step_.model().state_dict(kOfficialPrefix);
  c.puzzle_names = puzzle_names_;
  c.training = step_.training_tensors();
  c.training.emplace_back("window", window_.sums());
  c.state = state();
  return c;
}

void Trainer::save(const TrainCallbacks& callbacks) {
  finish_steps();
  const Path folder = files_.save(snapshot(), steps_, config_.train.keep_checkpoints);
  if (callbacks.on_checkpoint) callbacks.on_checkpoint(folder);
}

// The settings that have changed since the checkpoint. An Error if it is of another run: its data
// set is another one, or a setting that may not change has.
std::vector<Difference> Trainer::check_same_run(const Members& state) const {
  // A setting that did not exist yet had its default.
  const Config saved = Config::from_json(state.object("config").json(), state.source());
  const std::vector<Difference> changes = differences(saved, config_);
  for (const Difference& d : changes)
    CHECK(may_change_on_resume(d.key), "[resume] the checkpoint was made with ", d.key, " = ",
          d.old_value, ", not ", d.new_value,
          ". HINT: use another run folder for another configuration");
  CHECK(state.text("data", "") == data_identity_, "[resume] the data set in ",
        train_.folder().string(),
        " is not the one that the run was trained on. HINT: --data names the folder where that one "
        "is now; `hrm train --init ",
        files_.path().string(), " --run NEW` starts a new run from the weights");
  return changes;
}

void Trainer::restore(const Checkpoint& c, const Members& state, std::vector<std::string>& notes) {
  step_.model().load_state_dict(c.model, kOfficialPrefix);
  step_.restore(c.training, state, notes);
  load_saved(c.training, "window", window_.sums());
  constexpr int64_t kMost = int64_t{1} << 50;  // they are still counted up, and multiplied
  constexpr double kLargest = std::numeric_limits<double>::max();
  steps_ = state.integer("step", 0, kMost);
  samples_ = state.integer("samples", 0, kMost);
  elapsed_ = state.number("elapsed", 0, kLargest);
  window_started_ = state.number("window_started", 0, kLargest);
  window_steps_ = state.integer("window_steps", 0, kMost);
  best_ = state.number("best", -kLargest, kLargest);
  best_step_ = state.integer("best_step", 0, kMost);
  evaluations_since_best_ = state.integer("evaluations_since_best", 0, kMost);
  evaluation_due_ = state.flag("evaluation_due");
  const std::string test_before = state.text("test_data", "");
  if (!test_before.empty() && !test_identity_.empty() && test_before != test_identity_)
    notes.push_back(
        "the test split is not the one of before: the scores from here on do not compare with "
        "those before, and neither does the best");
  files_.cut_metrics(state.integer("metrics_bytes", 0, kMost));
}

int64_t Trainer::start_from(const Model& model, const std::vector<uint64_t>& names) {
  NamedTensors weights = model.state_dict(kOfficialPrefix);
  const std::string table = std::string(kOfficialPrefix) + "puzzle_emb.weights";
  if (!step_.model().puzzle_emb)
    std::erase_if(weights, [&](const auto& w) { return w.first == table; });
  int64_t found = 0;
  for (auto& [name, tensor] : weights) {
    if (name != table) continue;
    if (!names.empty() && !puzzle_names_.empty()) {
      tensor = match_puzzle_rows(tensor, names, puzzle_names_, &found);
      continue;
    }
    const int64_t rows = config_.model.num_puzzle_identifiers;
    CHECK(tensor.size(0) == rows, "[init] the other run has ", tensor.size(0),
          " puzzle rows, this one ", rows,
          ", and they have no names by which to find each other. HINT: train on a data set of the "
          "same puzzles, or with puzzle_emb_ndim=0");
    found = rows - 1;
  }
  step_.model().load_state_dict(weights, kOfficialPrefix);
  started_from_ = true;
  return found;
}

Resumed Trainer::resume() {
  const RunFiles::Newest newest = files_.newest_checkpoint();
  Resumed resumed;
  resumed.damaged = newest.damaged;
  const Members state(newest.checkpoint.state, (newest.folder / "state.json").string());
  resumed.changes = check_same_run(state);
  try {
    restore(newest.checkpoint, state, resumed.notes);
  } catch (const Error& error) {
    throw with_place(error, newest.folder.string());
  }
  CHECK(steps_ <= config_.train.total_steps, "[resume] ", files_.path().string(), " has made ",
        steps_, " steps already, more than ", config_.train.total_steps, ". HINT: --steps ", steps_,
        " or more");
  resumed_ = true;
  Json changed;
  for (const Difference& d : resumed.changes)
    changed[d.key] = {Json::parse(d.old_value), Json::parse(d.new_value)};
  if (!changed.empty()) files_.append_metrics({{"changed", changed}, {"step", steps_}});
  return resumed;
}

// Starts a line of metrics for the steps since the last one.
void Trainer::start_metrics() {
  TrainMetrics line;
  line.step = steps_;
  line.samples = samples_;
  line.lr = step_.lr(steps_);
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

// As the last evaluation decided, so that a run that is resumed does not go on either.
bool Trainer::stopped_early() const {
  const TrainConfig& t = config_.train;
  return t.early_stop > 0 && evaluations_since_best_ >= t.early_stop && steps_ < t.total_steps;
}

// Whether this result is the best so far; if so, its weights are kept in best/.
bool Trainer::keep_if_best(const EvalResult& result) {
  if (result.exact_accuracy <= best_) {
    ++evaluations_since_best_;
    return false;
  }
  best_ = result.exact_accuracy;
  best_step_ = steps_;
  evaluations_since_best_ = 0;
  Checkpoint weights;
  weights.model = step_.model().state_dict(kOfficialPrefix);
  weights.puzzle_names = puzzle_names_;
  weights.state = {{"step", steps_}, {"exact_accuracy", best_}};
  files_.save_best(weights);
  return true;
}

// The evaluation that is due: evaluation.json, best/, a line in metrics.jsonl. Early stop and stop
// requests are the outcome.
TrainOutcome Trainer::evaluate_now(const TrainCallbacks& callbacks) {
  finish_steps();
  const TrainConfig& t = config_.train;
  const bool last = steps_ >= t.total_steps;
  EvalOptions options;
  options.max_puzzles = last && t.final_eval_puzzles >= 0 ? t.final_eval_puzzles : t.eval_puzzles;
  options.traces = last ? 12 : 4;
  options.allow_nan = true;
  options.on_progress = callbacks.on_eval_progress;
  if (callbacks.on_eval_start) callbacks.on_eval_start(steps_);
  step_.swap_averages();
  EvalResult result = evaluate(step_.model(), *test_, options);
  result.step = steps_;
  const bool best = keep_if_best(result);
  step_.swap_averages();
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

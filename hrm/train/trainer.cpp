#include "hrm/train/trainer.h"

#include <algorithm>

#include <fmt/core.h>

#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "kernels/device.h"

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
                 Path run, Device device, const Communicator& ranks)
    : config_(checked(config, train, test)),
      train_(train),
      test_(test),
      ranks_(ranks),
      files_(std::move(run)),
      learner_(make_learner(config, train, device, ranks)),
      window_(learner_->columns(), device),
      puzzle_names_(has_puzzle_table() ? train.puzzle_names() : std::vector<uint64_t>()),
      data_identity_(train.identity()),
      test_identity_(!test                                  ? ""
                     : test->examples().holds_both_splits() ? data_identity_
                                                            : test->identity()) {
  check_same_on_all_ranks();
}

namespace {
// Without what does not change how it rounds: memory and driver.
std::string kind_of_device(Device device) {
  const std::string name = runtime::device_name(device);
  return name.substr(0, name.find(" SMs"));
}
}  // namespace

// An Error on every rank if one has other settings, data or a GPU than the first.
void Trainer::check_same_on_all_ranks() const {
  if (ranks_.size() == 1) return;
  const Json own = {{"config", config_.to_json()},
                    {"training set", data_identity_},
                    {"test split", test_identity_},
                    {"device", kind_of_device(window_.sums().device())}};
  const std::vector<std::string> all = ranks_.gather(own.dump());
  const Json first = Json::parse(all.front());
  for (size_t rank = 1; rank < all.size(); ++rank) {
    const Json other = Json::parse(all[rank]);
    const std::string who = "[train] rank " + std::to_string(rank) + " has ";
    const auto config_of = [](const Json& j) { return Config::from_json(j["config"], "a rank"); };
    for (const Difference& d : differences(config_of(first), config_of(other)))
      throw Error(who + d.key + " = " + d.new_value + ", and the first rank " + d.old_value +
                  ". HINT: start all processes with the same options");
    for (const char* data : {"training set", "test split"})
      HRM_CHECK(other[data] == first[data], who, "another ", data,
                " than the first rank. HINT: the same data set must lie in ", config_.data,
                " for all processes");
    HRM_CHECK(other["device"] == first["device"], who, other["device"].get<std::string>(),
              ", and the first rank ", first["device"].get<std::string>(),
              ", which round differently. HINT: the same kind of GPU for all processes");
  }
}

// An Error on every rank if one would go on from other weights, or at another step, than the first.
void Trainer::check_same_weights() const {
  if (ranks_.size() == 1) return;
  uint64_t sum = static_cast<uint64_t>(steps_);
  for (const auto& [name, weight] : module().state_dict()) {
    const Tensor host = weight.to(Device::cpu).contiguous();
    sum = 31 * sum + checksum({static_cast<const std::byte*>(host.data()), host.nbytes()});
  }
  const std::vector<std::string> all = ranks_.gather(std::to_string(sum));
  for (size_t rank = 1; rank < all.size(); ++rank)
    HRM_CHECK(
        all[rank] == all.front(), "[train] rank ", rank,
        " starts from other weights than the first rank. HINT: all processes must see the same "
        "run folder ",
        files_.path().string(), ", and the same weights of --init");
}

// Whether any rank has been asked to.
bool Trainer::asked_to_stop(const TrainCallbacks& callbacks) const {
  const bool own = callbacks.stop && callbacks.stop();
  if (ranks_.size() == 1) return own;
  return ranks_.sum(from_values({own ? 1.0 : 0.0}, {1}, DType::f64)).item() > 0;
}

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
  ranks_.at("step " + std::to_string(steps_ + 1));
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
  const Checkpoint checkpoint = snapshot();  // to which all ranks contribute
  const Path folder = checkpoint_path(files_.path(), steps_);
  if (ranks_.is_first()) files_.save(checkpoint, steps_, config_.train.keep_checkpoints);
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
  if (ranks_.is_first()) files_.append_metrics(line->to_json());
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
  if (!ranks_.is_first()) return true;
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
  options.failures = 4;
  options.allow_nan = true;
  // Its answer is that of the segment at which it stops; later ones hardly count in its loss.
  options.halting = config_.model.halting == Halting::ponder;
  options.on_progress = callbacks.on_eval_progress;
  options.ranks = ranks_;
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
  ranks_.at("the evaluation after step " + std::to_string(steps_));
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
  evaluation_due_ = false;
  if (ranks_.is_first()) {
    write_evaluation(result);
    write_checkpoint_state(checkpoint_path(files_.path(), steps_), state());
  }
  if (callbacks.on_eval) callbacks.on_eval(result, best);
  return stopped_early() ? TrainOutcome::early_stopped : TrainOutcome::finished;
}

// One step with all that follows from it.
TrainOutcome Trainer::train_step(const TrainCallbacks& callbacks) {
  const TrainConfig& t = config_.train;
  const auto stopping = [&] { return asked_to_stop(callbacks); };
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
    if (ranks_.is_first())
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

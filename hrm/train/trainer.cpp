#include "hrm/train/trainer.h"

#include <algorithm>
#include <limits>
#include <sstream>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/support/json_lines.h"
#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "hrm/train/run_folder.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
#include "kernels/reduce.h"
#include "nn/optim/sign_sgd.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMetricsFile = "metrics.jsonl";

// What window_ adds up: four losses (sums over rows), then the five sums of act_metrics.
constexpr int64_t kWindow = 9;
constexpr int kLoss = 0, kLm = 1, kQHalt = 2, kQContinue = 3;
constexpr int kFinished = 4, kAccuracy = 5, kExact = 6, kQAccuracy = 7, kSteps = 8;

// window[slot...] += values (any floating dtype), on the device.
void add_to_window(const Tensor& window, int slot, const Tensor& values) {
  if (!values.defined()) return;
  const Tensor wide = values.detach().to(DType::f64);
  HRM_DISPATCH(axpy, window.context(), DType::f64, window.data<double>() + slot, wide.data(),
               wide.numel(), 1.0);
}

AdamOptions adam_options(const TrainConfig& t) {
  AdamOptions options;
  options.kind = t.optimizer;
  options.beta1 = t.beta1, options.beta2 = t.beta2;
  options.weight_decay = t.weight_decay;
  options.clip_norm = t.clip_norm;
  return options;
}

Model make_model(const Config& config, Device device) {
  Random random = Random(static_cast<uint64_t>(config.train.seed)).fork("weights");
  return Model(config.model, &random, device);
}

std::vector<std::string> names_of_flags(const Model& model) {
  std::vector<std::string> names = {"the loss"};
  for (const auto& [name, p] : model.named_parameters(kOfficialPrefix))
    names.push_back("the gradient of " + name);
  names.push_back("the gradient of the puzzle embedding");
  return names;
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

Json TrainMetrics::to_json() const {
  return {{"step", step},
          {"samples", samples},
          {"loss", loss},
          {"lm_loss", lm_loss},
          {"q_halt_loss", q_halt_loss},
          {"q_continue_loss", q_continue_loss},
          {"finished", finished},
          {"accuracy", accuracy},
          {"exact_accuracy", exact_accuracy},
          {"q_halt_accuracy", q_halt_accuracy},
          {"steps", steps},
          {"lr", lr},
          {"samples_per_second", samples_per_second},
          {"elapsed", elapsed}};
}

Trainer::Trainer(const Config& config, const PuzzleDataset& train, const PuzzleDataset* test,
                 Path run, Device device)
    : config_(config),
      train_(train),
      test_(test),
      run_(std::move(run)),
      model_(make_model(config, device)),
      sampler_(train, static_cast<uint64_t>(config.train.seed),
               config.train.augment ? train.task().augmentation() : nullptr),
      adam_(model_.named_parameters(kOfficialPrefix), adam_options(config.train)),
      schedule_{config.train.lr_warmup_steps, config.train.total_steps, config.train.lr_min_ratio},
      exploration_(Random(static_cast<uint64_t>(config.train.seed)).fork("exploration")),
      carry_(initial_carry(model_, config.train.batch_size)),
      flag_names_(names_of_flags(model_)),
      flags_(zeros({static_cast<int64_t>(flag_names_.size()) + 1}, DType::i32, device)),
      skip_(zeros({1}, DType::i32, device)),
      steps_ahead_(device == Device::cpu ? 1 : 2),
      queue_(sampler_, config.train.step_rows(), config.model, static_cast<int64_t>(steps_ahead_),
             flags_.sliced(0, flags_.numel() - 1, flags_.numel())),
      rates_(zeros({adam_.rates_size() + 2}, DType::f64, device)),
      window_(zeros({kWindow}, DType::f64, device)),
      window_values_({kWindow}, DType::f64, device),
      puzzle_names_(model_.puzzle_emb ? train.puzzle_names() : std::vector<uint64_t>()),
      data_identity_(train.identity()),
      // The compact form of ARC holds both splits.
      test_identity_(!test                                  ? ""
                     : test->examples().holds_both_splits() ? data_identity_
                                                            : test->identity()) {
  config_.validate();
  check_dataset_fits(config_.model, train_);
  if (test_) check_dataset_fits(config_.model, *test_);
  if (config_.train.ema > 0)
    ema_.emplace(model_.named_parameters(kOfficialPrefix), config_.train.ema);
  for (size_t i = 0; i <= steps_ahead_; ++i) {
    host_rates_.push_back(pinned(rates_.shape(), DType::f64, device));
    idle_.emplace_back(flags_.shape(), DType::i32, device);
  }
  Random unused(0);  // every step draws anew
  draws_ = Exploration::draw(config_.model, config_.train.step_rows(), unused, device);
}

struct Trainer::Recording {
#if HRM_WITH_CUDA
  PrivateCache memory{Device::cuda};
  cuda::Graph graph;
  int steps = 0;         // before it was recorded
  bool settled = false;  // the last of them found all memory in the cache
  ~Recording() {
    try {
      cuda::synchronize();
    } catch (const Error&) {  // what failed has been reported already
    }
  }
#endif
};

Trainer::~Trainer() = default;

// Looks at the flags of finished steps until at most so many are still under way.
void Trainer::settle(size_t under_way) {
  while (failure_.empty() && under_way_.size() > under_way) {
    UnderWay& oldest = under_way_.front();
    const Tensor& flags = oldest.flags.wait();
    const int32_t* flag = flags.data<int32_t>();
    const int64_t names = flags.numel() - 1;
    queue_.taken(static_cast<uint32_t>(flag[names]));
    const int64_t bad = std::find_if(flag, flag + names, [](int32_t f) { return f != 0; }) - flag;
    if (bad < names) failure_ = nonfinite_message(flag_names_[bad], oldest.step);
    idle_.push_back(std::move(oldest.flags));
    under_way_.pop_front();
  }
  if (!failure_.empty()) throw Error(failure_);
}

// What a step that was not finite means, and what may help: a lower rate, from the newest
// checkpoint if that is far enough back, or from the start.
std::string Trainer::nonfinite_message(const std::string& what, int64_t step) const {
  std::string checkpoint;
  int64_t saved = -1;
  for (const Path& folder : list_checkpoints(run_))
    if (const int64_t at = step_of_checkpoint(folder); at < step) {
      checkpoint = folder.filename().string();
      saved = at;
    }
  const TrainConfig& t = config_.train;
  std::ostringstream text;
  text << "[train] " << what << " was not finite in step " << step
       << "; no update was made from there on";
  std::ostringstream rate;  // the one that is in use: `hrm adapt` may train the puzzle's rows alone
  rate << "--set " << (t.lr > 0 ? "lr=" : "puzzle_emb_lr=")
       << (t.lr > 0 ? t.lr : t.puzzle_emb_lr) / 10;
  if (config_.data.empty()) {  // adapt and farm: nothing of the run is kept
    text << ". HINT: a lower rate may help: " << rate.str();
  } else if (saved + 1 == step && saved >= 0) {
    text << ", and the weights of " << checkpoint
         << " lead there at once. HINT: start anew, in another --run folder with " << rate.str();
  } else {
    const bool plain = run_.string().find(' ') == std::string::npos;
    const std::string name = plain ? run_.string() : "'" + run_.string() + "'";
    text << (saved < 0 ? "; there is no checkpoint yet, so the run starts anew"
                       : "; the checkpoint before it is " + checkpoint)
         << ". HINT: a lower rate may help: `hrm train --run " << name << " --resume " << rate.str()
         << "`";
    // The steps of adam_atan2 do not depend on the size of the gradient.
    if (t.optimizer == OptimizerKind::adamw) text << ", or --set clip_norm=1";
  }
  return text.str();
}

void Trainer::step() {
  settle(steps_ahead_ - 1);
  ++step_;
  const TrainConfig& t = config_.train;
  // What the host has to say about this step, in pinned memory that no copy under way reads.
  Tensor& host_rates = host_rates_[static_cast<size_t>(step_) % host_rates_.size()];
  std::vector<double> rates = adam_.rates(schedule_(t.lr, step_));
  const double table_lr = schedule_(t.puzzle_emb_lr, step_);
  rates.insert(rates.end(), {1 - table_lr * t.puzzle_emb_weight_decay, table_lr});
  std::copy(rates.begin(), rates.end(), host_rates.data<double>());
  send(rates_, host_rates);
  draws_.redraw(config_.model, exploration_);
  queue_.prepare();
  wait_for_uploads(rates_.device());

  if (use_graph_ && rates_.device() == Device::cuda)
    replay_step();
  else
    run_step();

  Readback flags = std::move(idle_.back());
  idle_.pop_back();
  flags.start(flags_);
  under_way_.push_back({step_, std::move(flags)});
  samples_ += t.step_rows();
  ++window_steps_;
}

// All that a step does on the device: no host value changes from one to the next.
void Trainer::run_step() {
  const TrainConfig& t = config_.train;
  const double scale = 1.0 / static_cast<double>(t.step_rows());
  std::vector<SegmentResult> parts;
  if (t.unroll_segments > 1)
    parts =
        train_segments(model_, carry_, queue_.rows(), t.refill, draws_, t.unroll_segments, scale);
  else
    begin_segment(model_, carry_, queue_.rows(), t.refill);
  for (int64_t i = 0; t.unroll_segments == 1 && i < t.micro_batches; ++i) {
    const int64_t begin = i * t.batch_size / t.micro_batches;
    const int64_t end = (i + 1) * t.batch_size / t.micro_batches;
    Carry slice = carry_.rows(begin, end);
    parts.push_back(train_segment(model_, slice, draws_.rows(begin, end), scale));
  }
  apply_gradients(parts);
  for (const SegmentResult& part : parts) {
    add_to_window(window_, kLoss, part.loss.total);
    add_to_window(window_, kLm, part.loss.lm);
    add_to_window(window_, kQHalt, part.loss.q_halt);
    add_to_window(window_, kQContinue, part.loss.q_continue);
    add_to_window(window_, kFinished, part.metrics);
  }
}

// run_step as a CUDA graph. Two ordinary steps, so that every algorithm is chosen; then steps with
// memory of their own, until one has asked the system for nothing. The next asks for the same, in
// the same order, and is recorded. Where no step gets so far, all of them stay launches.
void Trainer::replay_step() {
#if HRM_WITH_CUDA
  constexpr int kOrdinary = 2, kTries = 4;
  if (!recording_) recording_ = std::make_unique<Recording>();
  Recording& r = *recording_;
  if (r.graph.recorded()) {
    r.graph.launch();
    return adam_.advance();
  }
  if (r.settled) return record_step();
  if (++r.steps <= kOrdinary) return run_step();
  if (r.steps > kOrdinary + kTries) return launch_from_now_on();
  if (r.steps == kOrdinary + 1) empty_cache(Device::cuda);
  const uint64_t before = allocator_stats(Device::cuda).allocations;
  const PrivateCache::Use own(r.memory);
  run_step();
  r.settled = allocator_stats(Device::cuda).allocations == before;
#endif
}

// Records the step and runs it. If that fails, nothing of it has run, and it is launched instead.
void Trainer::record_step() {
#if HRM_WITH_CUDA
  const Adam before = adam_;  // what it has counted; the moments are shared
  try {
    const PrivateCache::Use own(recording_->memory);
    recording_->graph.record([this] { run_step(); });
  } catch (const Error&) {
    adam_ = before;
    adam_.zero_grad();
    return launch_from_now_on();
  }
  recording_->graph.launch();
#endif
}

void Trainer::launch_from_now_on() {
  use_graph_ = false;
  recording_.reset();
  run_step();
}

bool Trainer::replays() const {
#if HRM_WITH_CUDA
  return recording_ && recording_->graph.recorded();
#else
  return false;
#endif
}

void Trainer::apply_gradients(const std::vector<SegmentResult>& parts) {
  int32_t* flag = flags_.data<int32_t>();
  const auto guard = [&](int32_t* where, const Tensor& t) {
    if (t.defined())
      HRM_DISPATCH(flag_nonfinite, t.context(), t.dtype(), where, t.data(), t.numel());
  };
  Tensors puzzle_grads, puzzle_ids;
  for (const SegmentResult& part : parts) {
    guard(flag, part.loss.total);
    puzzle_ids.push_back(part.puzzle_ids);
    if (part.puzzle_rows.defined() && part.puzzle_rows.grad().defined())
      puzzle_grads.push_back(part.puzzle_rows.grad());
  }
  for (const auto& [name, p] : model_.named_parameters()) guard(++flag, p->value.grad());
  const Tensor puzzle_grad = puzzle_grads.empty() ? Tensor() : concat(puzzle_grads, 0);
  guard(++flag, puzzle_grad);
  skip_.copy_from(max(flags_.sliced(0, 0, flags_.numel() - 1), 0, true));

  // The order of the official step: puzzle rows first, then the weights.
  const int64_t own = adam_.rates_size();
  if (puzzle_grad.defined())
    sign_sgd_update(*model_.puzzle_emb, puzzle_grad, concat(puzzle_ids, 0),
                    rates_.sliced(0, own, own + 2), skip_);
  adam_.update(rates_.sliced(0, 0, own), skip_);
  adam_.zero_grad();
  if (ema_) ema_->update(skip_);
}

Json Trainer::state() const {
  const Path metrics = run_ / kMetricsFile;
  Json state = {{"step", step_},
                {"samples", samples_},
                {"elapsed", elapsed_},
                {"window_started", window_started_},
                {"window_steps", window_steps_},
                {"best", best_},
                {"best_step", best_step_},
                {"evaluations_since_best", evaluations_since_best_},
                {"evaluation_due", evaluation_due_},
                {"metrics_bytes", fs::exists(metrics) ? fs::file_size(metrics) : 0},
                {"exploration_position", exploration_.position()},
                {"sampler", queue_.state()},
                {"data", data_identity_},
                {"test_data", test_identity_},
                {"config", config_.to_json()}};
  if constexpr (kBuiltWithCuda)
    if (rates_.device() == Device::cuda) state["gemm_plans"] = cuda::gemm_plans();
  return state;
}

Checkpoint Trainer::snapshot() const {
  Checkpoint c;
  c.model = model_.state_dict(kOfficialPrefix);
  c.puzzle_names = puzzle_names_;
  c.training = adam_.state_dict();
  if (ema_)
    for (const auto& entry : ema_->state_dict()) c.training.push_back(entry);
  Carry(carry_).fields([&](const std::string& name, const Tensor& t) {
    c.training.emplace_back("carry." + name, t);
  });
  c.training.emplace_back("window", window_);
  c.state = state();
  return c;
}

void Trainer::save(const TrainCallbacks& callbacks) {
  settle(0);
  const Path path = checkpoint_path(run_, step_);
  write_checkpoint(path, snapshot());
  prune_checkpoints(run_, config_.train.keep_checkpoints, step_);
  if (callbacks.on_checkpoint) callbacks.on_checkpoint(path);
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
        run_.string(), " --run NEW` starts a new run from the weights");
  return changes;
}

void Trainer::restore(const Checkpoint& c, const Members& state, std::vector<std::string>& notes) {
  model_.load_state_dict(c.model, kOfficialPrefix);
  adam_.load_state_dict(c.training);
  if (ema_) ema_->load_state_dict(c.training);
  const auto load = [&](const std::string& name, Tensor& t) {
    const Tensor* saved = find(c.training, name);
    CHECK(saved && saved->shape() == t.shape() && saved->dtype() == t.dtype(),
          "[resume] the checkpoint has no '", name,
          "' of this shape. HINT: is it a checkpoint of "
          "another model?");
    t.copy_from(*saved);
  };
  carry_.fields([&](const std::string& name, Tensor& t) { load("carry." + name, t); });
  load("window", window_);
  constexpr int64_t kMost = int64_t{1} << 50;  // they are still counted up, and multiplied
  constexpr double kLargest = std::numeric_limits<double>::max();
  step_ = state.integer("step", 0, kMost);
  samples_ = state.integer("samples", 0, kMost);
  elapsed_ = state.number("elapsed", 0, kLargest);
  window_started_ = state.number("window_started", 0, kLargest);
  window_steps_ = state.integer("window_steps", 0, kMost);
  best_ = state.number("best", -kLargest, kLargest);
  best_step_ = state.integer("best_step", 0, kMost);
  evaluations_since_best_ = state.integer("evaluations_since_best", 0, kMost);
  evaluation_due_ = state.flag("evaluation_due");
  exploration_ = Random(exploration_.seed(), state.natural("exploration_position"));
  queue_.restore(state.object("sampler").json());
  const std::string test_before = state.text("test_data", "");
  if (!test_before.empty() && !test_identity_.empty() && test_before != test_identity_)
    notes.push_back(
        "the test split is not the one of before: the scores from here on do not compare with "
        "those before, and neither does the best");
  if constexpr (kBuiltWithCuda)
    if (rates_.device() == Device::cuda) {
      const std::string plans = state.text("gemm_plans", "");
      if (!plans.empty() && !cuda::load_gemm_plans(plans))
        notes.push_back(
            "the checkpoint was made on another GPU or with another cuBLASLt: the last digits of "
            "products may differ from there on");
    }
  cut_metrics(state.integer("metrics_bytes", 0, kMost));
}

int64_t Trainer::start_from(const Model& model, const std::vector<uint64_t>& names) {
  NamedTensors weights = model.state_dict(kOfficialPrefix);
  const std::string table = std::string(kOfficialPrefix) + "puzzle_emb.weights";
  if (!model_.puzzle_emb) std::erase_if(weights, [&](const auto& w) { return w.first == table; });
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
  model_.load_state_dict(weights, kOfficialPrefix);
  started_from_ = true;
  return found;
}

Resumed Trainer::resume() {
  std::vector<Path> all = list_checkpoints(run_);
  CHECK(!all.empty(), "[resume] ", run_.string(),
        " has no checkpoint. HINT: train without --resume");
  Resumed resumed;
  const auto without_hint = [](const std::string& message) {
    return message.substr(0, message.find(". HINT"));
  };
  std::optional<Checkpoint> checkpoint;
  Path folder;
  while (!checkpoint && !all.empty()) {
    try {
      folder = all.back();
      checkpoint = read_checkpoint(folder);
    } catch (const OtherFormat&) {
      throw;
    } catch (const Error& error) {
      resumed.damaged.push_back(without_hint(error.what()));
    }
    all.pop_back();
  }
  if (!checkpoint) {
    const bool best = fs::exists(run_ / "best");
    detail::fail("[resume] no checkpoint of ", run_.string(),
                 " is whole, the newest: ", resumed.damaged.front(),
                 ". HINT: start anew in another run folder",
                 best ? ", from the best weights with --init " + run_.string() : "");
  }
  const Members state(checkpoint->state, (folder / "state.json").string());
  resumed.changes = check_same_run(state);
  try {
    restore(*checkpoint, state, resumed.notes);
  } catch (const Error& error) {
    throw with_place(error, folder.string());
  }
  CHECK(step_ <= config_.train.total_steps, "[resume] ", run_.string(), " has made ", step_,
        " steps already, more than ", config_.train.total_steps, ". HINT: --steps ", step_,
        " or more");
  resumed_ = true;
  Json changed;
  for (const Difference& d : resumed.changes)
    changed[d.key] = {Json::parse(d.old_value), Json::parse(d.new_value)};
  if (!changed.empty()) append_line({{"changed", changed}, {"step", step_}});
  return resumed;
}

void Trainer::append_line(const Json& line) { append_json_line(run_ / kMetricsFile, line.dump()); }

// Lines that a killed run wrote behind its last checkpoint come again.
void Trainer::cut_metrics(int64_t bytes) {
  const Path path = run_ / kMetricsFile;
  std::error_code error;
  const auto there = static_cast<int64_t>(fs::file_size(path, error));
  if (error) return;  // there is none
  fs::resize_file(path, static_cast<uintmax_t>(std::clamp<int64_t>(bytes, 0, there)), error);
  CHECK(!error, "[train] cannot shorten ", path.string(), ": ", error.message());
}

// Starts a metrics line: its sums are on their way when this returns.
void Trainer::log_metrics() {
  window_values_.start(window_);
  window_.zero();
  TrainMetrics m;
  m.step = step_, m.samples = samples_;
  m.lr = schedule_(config_.train.lr, step_);
  m.elapsed = elapsed_;
  pending_rows_ = static_cast<double>(window_steps_ * config_.train.step_rows());
  m.samples_per_second = pending_rows_ / std::max(1e-9, elapsed_ - window_started_);
  pending_metrics_ = m;
  window_steps_ = 0;
  window_started_ = elapsed_;
}

// Writes the line that log_metrics started, if its sums are there.
void Trainer::report_metrics(const TrainCallbacks& callbacks, bool wait) {
  if (!pending_metrics_ || (!wait && !window_values_.done())) return;
  const double* w = window_values_.wait().data<double>();
  TrainMetrics m = *pending_metrics_;
  pending_metrics_.reset();
  const double rows = pending_rows_, finished = std::max(1.0, w[kFinished]);
  m.loss = w[kLoss] / rows, m.lm_loss = w[kLm] / rows;
  m.q_halt_loss = w[kQHalt] / rows, m.q_continue_loss = w[kQContinue] / rows;
  m.finished = w[kFinished];
  m.accuracy = w[kAccuracy] / finished, m.exact_accuracy = w[kExact] / finished;
  m.q_halt_accuracy = w[kQAccuracy] / finished, m.steps = w[kSteps] / finished;
  append_line(m.to_json());
  if (callbacks.on_metrics) callbacks.on_metrics(m);
}

// As the last evaluation decided, so that a run that is resumed does not go on either.
bool Trainer::stopped_early() const {
  const TrainConfig& t = config_.train;
  return t.early_stop > 0 && evaluations_since_best_ >= t.early_stop && step_ < t.total_steps;
}

// The evaluation that is due: evaluation.json, best/, a line in metrics.jsonl. Early stop and stop
// requests are the outcome.
TrainOutcome Trainer::evaluate_now(const TrainCallbacks& callbacks) {
  settle(0);
  const TrainConfig& t = config_.train;
  const bool last = step_ >= t.total_steps;
  EvalOptions options;
  options.max_puzzles = last && t.final_eval_puzzles >= 0 ? t.final_eval_puzzles : t.eval_puzzles;
  options.traces = last ? 12 : 4;
  options.allow_nan = true;
  options.on_progress = callbacks.on_eval_progress;
  if (callbacks.on_eval_start) callbacks.on_eval_start(step_);
  if (ema_) ema_->swap();
  EvalResult result = evaluate(model_, *test_, options);
  result.step = step_;
  const bool best = result.exact_accuracy > best_;
  if (best) {
    best_ = result.exact_accuracy;
    best_step_ = step_;
    evaluations_since_best_ = 0;
    Checkpoint weights;
    weights.model = model_.state_dict(kOfficialPrefix);
    weights.puzzle_names = puzzle_names_;
    weights.state = {{"step", step_}, {"exact_accuracy", best_}};
    write_checkpoint(run_ / "best", weights);
  } else {
    ++evaluations_since_best_;
  }
  if (ema_) ema_->swap();
  write_file_atomically(run_ / "evaluation.json", Json(to_json(result)).dump() + "\n");
  append_line({{"eval", true},
               {"step", step_},
               {"samples", samples_},
               {"elapsed", elapsed_},
               {"puzzles", result.count},
               {"exact_accuracy", result.exact_accuracy},
               {"accuracy", result.accuracy},
               {"mean_steps", result.mean_steps},
               {"seconds", result.seconds}});
  evaluation_due_ = false;
  write_checkpoint_state(checkpoint_path(run_, step_), state());
  if (callbacks.on_eval) callbacks.on_eval(result, best);
  return stopped_early() ? TrainOutcome::early_stopped : TrainOutcome::finished;
}

// One step with all that follows from it.
TrainOutcome Trainer::train_step(const TrainCallbacks& callbacks) {
  const TrainConfig& t = config_.train;
  const auto stopping = [&] { return callbacks.stop && callbacks.stop(); };
  const double started = seconds_now();
  step();
  const bool last = step_ == t.total_steps;
  evaluation_due_ = test_ && (last || (t.eval_every > 0 && step_ % t.eval_every == 0));
  const bool saves = last || evaluation_due_ || step_ % t.checkpoint_every == 0 || stopping();
  if (saves) settle(0);
  elapsed_ += seconds_now() - started;
  report_metrics(callbacks, false);
  if (step_ % log_interval(t) == 0 || last) {
    report_metrics(callbacks, true);
    log_metrics();
  }
  report_metrics(callbacks, saves);
  if (saves) save(callbacks);
  // Asked once more: who stops the run while a metrics line is written finds a checkpoint, too.
  if (stopping()) {
    if (!saves) {
      settle(0);
      report_metrics(callbacks, true);
      save(callbacks);
    }
    return TrainOutcome::stopped;
  }
  return evaluation_due_ ? evaluate_now(callbacks) : TrainOutcome::finished;
}

TrainOutcome Trainer::run(const TrainCallbacks& callbacks) {
  if (step_ == 0 && !resumed_) {
    cut_metrics(0);  // of a run that was killed before its first checkpoint
    if (started_from_) save(callbacks);
  }
  TrainOutcome outcome = TrainOutcome::finished;
  if (evaluation_due_ && test_) outcome = evaluate_now(callbacks);
  if (!evaluation_due_ && stopped_early()) outcome = TrainOutcome::early_stopped;
  while (outcome == TrainOutcome::finished && step_ < config_.train.total_steps)
    outcome = train_step(callbacks);
  return outcome;
}

}  // namespace hrm

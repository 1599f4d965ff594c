#include "hrm/train/train_step.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/train/checkpoint.h"
#include "kernels/device.h"
#include "kernels/dispatch.h"
#include "kernels/reduce.h"
#include "nn/distributed/gradient_sum.h"
#include "nn/optim/sign_sgd.h"

namespace hrm {
namespace {

Model make_model(const Config& config, Device device) {
  Random random = Random(static_cast<uint64_t>(config.train.seed)).fork("weights");
  return Model(config.model, &random, device);
}

// The order of columns(); from kCounts on the five counts of act_metrics.
enum Column : int64_t { kLoss, kTokenLoss, kQHaltLoss, kQContinueLoss, kCounts };

void add_metrics(const Tensor& sums, const SegmentResult& part) {
  add_to_sums(sums, kLoss, part.loss.total);
  add_to_sums(sums, kTokenLoss, part.loss.lm);
  add_to_sums(sums, kQHaltLoss, part.loss.q_halt);
  add_to_sums(sums, kQContinueLoss, part.loss.q_continue);
  add_to_sums(sums, kCounts, part.metrics);
}

std::vector<std::string> names_of_flags(const Model& model) {
  std::vector<std::string> names = {"the loss"};
  for (const auto& [name, p] : model.named_parameters(kOfficialPrefix))
    names.push_back("the gradient of " + name);
  names.push_back("the gradient of the puzzle embedding");
  return names;
}

}  // namespace

TrainStep::TrainStep(const Config& config, const PuzzleDataset& train, Device device,
                     const Communicator& ranks)
    : config_(config),
      micro_batches_(config.train, ranks),
      model_(make_model(config, device)),
      sampler_(train, static_cast<uint64_t>(config.train.seed),
               config.train.augment ? train.task().augmentation() : nullptr),
      optimizer_(make_optimizer(model_, config.train)),
      schedule_{config.train.lr_warmup_steps, config.train.total_steps, config.train.lr_min_ratio},
      exploration_(Random(static_cast<uint64_t>(config.train.seed)).fork("exploration")),
      carry_(initial_carry(model_, micro_batches_.own_rows().size())),
      flag_names_(names_of_flags(model_)),
      flags_(zeros({static_cast<int64_t>(flag_names_.size()) + 1}, DType::i32, device)),
      skip_(zeros({1}, DType::i32, device)),
      steps_ahead_(device == Device::cpu ? 1 : 2),
      queue_(sampler_, config.train.step_rows(), config.model, static_cast<int64_t>(steps_ahead_),
             flags_.slice(0, flags_.numel() - 1, flags_.numel())),
      rates_(zeros({optimizer_->rates_size() + 2}, DType::f64, device)) {
  if (config_.train.ema > 0)
    ema_.emplace(model_.named_parameters(kOfficialPrefix), config_.train.ema);
  for (size_t i = 0; i <= steps_ahead_; ++i) {
    host_rates_.push_back(pinned(rates_.shape(), DType::f64, device));
    idle_.emplace_back(flags_.shape(), DType::i32, device);
  }
  Random unused(0);  // every step draws anew
  draws_ = Exploration::draw(config_.model, config_.train.step_rows(), unused, device);
}

const std::vector<MetricColumn>& TrainStep::columns() const {
  using Per = MetricColumn::Per;
  static const std::vector<MetricColumn> columns = {
      {"loss", Per::row},
      {"lm_loss", Per::row},
      {"q_halt_loss", Per::row},
      {"q_continue_loss", Per::row},
      {"finished", Per::window},
      {"accuracy", Per::finished},
      {"exact_accuracy", Per::finished},
      {"q_halt_accuracy", Per::finished},
      {"steps", Per::finished},
  };
  return columns;
}

struct TrainStep::Recording {
  Recording(Device device, const Cycles& of_cycles)
      : memory(device), launches(device), cycles(of_cycles) {}
  PrivateCache memory;
  runtime::Recording launches;
  Cycles cycles;
  int steps = 0;         // before it was recorded
  bool settled = false;  // the last of them found all memory in the cache
};

TrainStep::~TrainStep() = default;

// Looks at the flags of finished steps until at most so many are still under way.
void TrainStep::check_finished(size_t under_way) {
  while (!failure_ && in_flight_.size() > under_way) {
    InFlight& oldest = in_flight_.front();
    const Tensor& flags = oldest.flags.wait();
    const int32_t* flag = flags.data<int32_t>();
    const int64_t names = flags.numel() - 1;
    queue_.taken(static_cast<uint32_t>(flag[names]));
    const int64_t bad = std::find_if(flag, flag + names, [](int32_t f) { return f != 0; }) - flag;
    if (bad < names) failure_.emplace(flag_names_[bad], oldest.step);
    idle_.push_back(std::move(oldest.flags));
    in_flight_.pop_front();
  }
  if (failure_) throw *failure_;
}

Cycles cycles_at(const Config& config, int64_t step) {
  return {depth_at(config.train, step, config.model.H_cycles),
          depth_at(config.train, step, config.model.L_cycles)};
}

namespace {
// Evaluations see the model at its full depth.
class AtDepth {
 public:
  AtDepth(Model& model, const Cycles& cycles) : model_(model) { model_.set_cycles(cycles); }
  ~AtDepth() { model_.set_cycles({model_.config().H_cycles, model_.config().L_cycles}); }
  AtDepth(const AtDepth&) = delete;
  AtDepth& operator=(const AtDepth&) = delete;

 private:
  Model& model_;
};
}  // namespace

void TrainStep::run(int64_t step, MetricsWindow& window) {
  check_finished(steps_ahead_ - 1);
  const Cycles cycles = cycles_at(config_, step);
  // What was recorded is a step of another depth.
  if (recording_ && recording_->cycles != cycles) recording_.reset();
  const AtDepth at_depth(model_, cycles);
  queue_inputs(step);
  if (const int64_t ahead = late_segments(step, cycles); ahead > 0)
    run_late(window, ahead);
  else if (records())
    replay(window, cycles);
  else
    run_on_device(window);

  Readback flags = std::move(idle_.back());
  idle_.pop_back();
  flags.start(flags_);
  in_flight_.push_back({step, std::move(flags)});
}

// What ranks say to each other is waited for by the host, and cannot be recorded.
bool TrainStep::records() const {
  return use_graph_ && !trace::on() && runtime::can_record(device()) &&
         micro_batches_.ranks().size() == 1;
}

// What the host has to say about a step, in pinned memory that no copy under way reads.
void TrainStep::queue_inputs(int64_t step) {
  const TrainConfig& t = config_.train;
  Tensor& host_rates = host_rates_[static_cast<size_t>(step) % host_rates_.size()];
  std::vector<double> rates = optimizer_->rates(schedule_(t.lr, step));
  const double table_lr = schedule_(t.puzzle_emb_lr, step);
  rates.insert(rates.end(), {1 - table_lr * t.puzzle_emb_weight_decay, table_lr});
  std::copy(rates.begin(), rates.end(), host_rates.data<double>());
  send(rates_, host_rates);
  draws_.redraw(config_.model, exploration_);
  queue_.prepare();
  wait_for_uploads(device());
}

// Segments that this step runs the states ahead, drawn evenly on a logarithmic scale; mostly 0.
int64_t TrainStep::late_segments(int64_t step, const Cycles& cycles) const {
  constexpr double kFewest = 32;  // updates
  const TrainConfig& t = config_.train;
  Random draw =
      Random(static_cast<uint64_t>(t.seed)).fork("late").fork(static_cast<uint64_t>(step));
  if (draw.uniform() >= t.late_start_share) return 0;
  const auto segment = static_cast<double>(update_list(config_.model.levels, cycles).size());
  const auto most = static_cast<double>(t.late_start_updates);
  const double updates = kFewest * std::pow(most / kFewest, draw.uniform());
  return std::max<int64_t>(1, std::lround(std::min(updates / segment, std::floor(most / segment))));
}

// Such a step is launched, in the memory of the recorded one, if there is one.
void TrainStep::run_late(MetricsWindow& window, int64_t ahead) {
  std::optional<PrivateCache::Use> own;
  if (replays()) own.emplace(recording_->memory);
  run_on_device(window, ahead);
}

// The slots of so many rows of the batch.
Slots TrainStep::slots_of(const Range& rows) const {
  const int64_t batch = config_.train.batch_size;
  if (rows.size() == batch) return {rows, 0, {}, false};
  return {rows, batch, micro_batches_.ranks(), !config_.model.halts_early()};
}

// One micro-batch of this rank, to the gradients of its losses: a segment, which has begun, or
// unrolled segments.
std::vector<SegmentResult> TrainStep::run_micro_batch(int64_t number, int64_t ahead) {
  const TrainConfig& t = config_.train;
  const double scale = 1.0 / static_cast<double>(t.step_rows());
  const Slots slots = slots_of(micro_batches_.rows(number));
  const int64_t before = micro_batches_.own_rows().begin;
  Carry slice =
      slots.all == 0 ? carry_ : carry_.rows(slots.own.begin - before, slots.own.end - before);
  if (t.unroll_segments > 1) {
    // Draws that keep puzzles from halting early mean nothing where all halt together.
    return train_segments(model_, slice, queue_.rows(), t.refill,
                          slots.all == 0 ? draws_ : Exploration(), t.unroll_segments, scale, slots);
  }
  if (ahead > 0) run_ahead(model_, slice, ahead);
  return {train_segment(model_, slice, draws_.rows(slots.own.begin, slots.own.end), scale)};
}

// All that a step does on the device: but for `ahead`, no host value changes from one to the next.
void TrainStep::run_on_device(MetricsWindow& window, int64_t ahead) {
  const TrainConfig& t = config_.train;
  Tensor head = queue_.rows().head;
  Tensor head_before;
  if (t.unroll_segments == 1)
    begin_segment(model_, carry_, queue_.rows(), t.refill, slots_of(micro_batches_.own_rows()));
  else if (t.micro_batches > 1)
    head_before = head.clone();
  std::vector<SegmentResult> parts;
  GradientSum gradients(model_.named_parameters(), gradient_sum_of(t));
  TreeSum metrics(t.micro_batches);
  for (int64_t i = micro_batches_.own().begin; i < micro_batches_.own().end; ++i) {
    // Each takes its slots' rows of all that the step takes.
    if (head_before.defined()) head.copy_from(head_before);
    std::vector<SegmentResult> own = run_micro_batch(i, ahead);
    if (t.micro_batches > 1) {
      gradients.add(i);
      const Tensor sums = zeros({std::ssize(columns())}, DType::f64, device());
      for (const SegmentResult& part : own) add_metrics(sums, part);
      metrics.add(i, sums);
    }
    std::ranges::move(own, std::back_inserter(parts));
  }
  if (t.micro_batches == 1) {
    Tensors losses;
    for (const SegmentResult& part : parts) losses.push_back(part.loss.total);
    apply_gradients(parts, losses);
    for (const SegmentResult& part : parts) add_metrics(window.sums(), part);
    return;
  }
  gradients.finish(micro_batches_.ranks());
  const Tensor sums = metrics.total(micro_batches_.ranks());
  apply_gradients(parts, {sums.slice(0, kLoss, kLoss + 1)});
  window.add(0, sums);
}

// run_on_device as a CUDA graph. Two ordinary steps, so that every algorithm is chosen; then steps
// with memory of their own, until one has asked the system for nothing. The next asks for the same,
// in the same order, and is recorded. Where no step gets so far, all of them stay launches.
void TrainStep::replay(MetricsWindow& window, const Cycles& cycles) {
  constexpr int kOrdinary = 2, kTries = 4;
  if (!recording_) recording_ = std::make_unique<Recording>(device(), cycles);
  Recording& r = *recording_;
  if (r.launches.recorded()) {
    r.launches.replay();
    return optimizer_->advance();
  }
  if (r.settled) return record(window);
  if (++r.steps <= kOrdinary) return run_on_device(window);
  if (r.steps > kOrdinary + kTries) return launch_from_now_on(window);
  if (r.steps == kOrdinary + 1) empty_cache(device());
  const uint64_t before = allocator_stats(device()).allocations;
  const PrivateCache::Use own(r.memory);
  run_on_device(window);
  r.settled = allocator_stats(device()).allocations == before;
}

// Records the step and runs it. If that fails, nothing of it has run, and it is launched instead.
void TrainStep::record(MetricsWindow& window) {
  std::unique_ptr<Optimizer> before = optimizer_->clone();  // with what it has counted
  try {
    const PrivateCache::Use own(recording_->memory);
    recording_->launches.record([&] { run_on_device(window); });
  } catch (const Error&) {
    optimizer_ = std::move(before);
    optimizer_->zero_grad();
    return launch_from_now_on(window);
  }
  recording_->launches.replay();
}

void TrainStep::launch_from_now_on(MetricsWindow& window) {
  use_graph_ = false;
  recording_.reset();
  run_on_device(window);
}

bool TrainStep::replays() const { return recording_ && recording_->launches.recorded(); }

void TrainStep::raise_flags(const Tensors& losses, const Tensor& puzzle_grad) {
  int32_t* flag = flags_.data<int32_t>();
  const auto guard = [&](int32_t* where, const Tensor& t) {
    if (t.defined())
      HRM_DISPATCH(flag_nonfinite, t.context(), t.dtype(), where, t.data(), t.numel());
  };
  for (const Tensor& loss : losses) guard(flag, loss);
  // In the order of names_of_flags.
  for (const auto& [name, p] : model_.named_parameters()) guard(++flag, p->value.grad());
  guard(++flag, puzzle_grad);
  skip_.copy_from(max(flags_.slice(0, 0, flags_.numel() - 1), 0, true));
}

void TrainStep::apply_gradients(const std::vector<SegmentResult>& parts, const Tensors& losses) {
  Tensors puzzle_grads, puzzle_ids;
  for (const SegmentResult& part : parts) {
    puzzle_ids.push_back(part.puzzle_ids);
    if (part.puzzle_rows.defined() && part.puzzle_rows.grad().defined())
      puzzle_grads.push_back(part.puzzle_rows.grad());
  }
  Tensor puzzle_grad;
  if (!puzzle_grads.empty()) puzzle_grad = micro_batches_.ranks().gather(concat(puzzle_grads, 0));
  raise_flags(losses, puzzle_grad);

  // The order of the official step: puzzle rows first, then the weights.
  const int64_t own = optimizer_->rates_size();
  if (puzzle_grad.defined())
    sign_sgd_update(*model_.puzzle_emb, puzzle_grad,
                    micro_batches_.ranks().gather(concat(puzzle_ids, 0)),
                    rates_.slice(0, own, own + 2), skip_);
  optimizer_->update(rates_.slice(0, 0, own), skip_);
  optimizer_->zero_grad();
  if (ema_) ema_->update(skip_);
}

EvalResult TrainStep::evaluate(const PuzzleDataset& test, const EvalOptions& options) const {
  return hrm::evaluate(model_, test, options);
}

void TrainStep::swap_averages() {
  if (ema_) ema_->swap();
}

NamedTensors TrainStep::training_tensors() const {
  NamedTensors tensors = optimizer_->state_dict();
  if (ema_)
    for (const auto& entry : ema_->state_dict()) tensors.push_back(entry);
  carry_.fields([&](const std::string& name, const Tensor& t) {
    tensors.emplace_back("carry." + name, micro_batches_.ranks().gather(t));
  });
  return tensors;
}

void TrainStep::add_state(Json& state) const {
  state["exploration_position"] = exploration_.position();
  state["sampler"] = queue_.state();
  if (device() == Device::cuda) state["gemm_plans"] = runtime::product_plans(device());
}

void TrainStep::restore(const NamedTensors& training, const Members& state,
                        std::vector<std::string>& notes) {
  optimizer_->load_state_dict(training);
  if (ema_) ema_->load_state_dict(training);
  const Range own = micro_batches_.own_rows();
  carry_.fields([&](const std::string& name, Tensor& t) {
    Tensor all = empty(t.shape().with(0, config_.train.batch_size), t.dtype(), t.device());
    load_saved(training, "carry." + name, all);
    t.copy_from(all.slice(0, own.begin, own.end));
  });
  exploration_ = Random(exploration_.seed(), state.natural("exploration_position"));
  queue_.restore(state.object("sampler").json());
  if (device() == Device::cpu) return;
  const std::string plans = state.text("gemm_plans", "");
  if (!plans.empty() && !runtime::load_product_plans(device(), plans))
    notes.push_back(
        "the checkpoint was made on another GPU or with another cuBLASLt: the last digits of "
        "products may differ from there on");
}

}  // namespace hrm

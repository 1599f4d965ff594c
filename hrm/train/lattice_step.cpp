#include "hrm/train/lattice_step.h"

#include "autograd/engine.h"
#include "autograd/ops/ops.h"
#include "hrm/train/not_finite.h"
#include "kernels/dispatch.h"
#include "kernels/reduce.h"

namespace hrm {
namespace {

LatticeModel make_model(const Config& config, const Domain& domain, Device device) {
  Random random = Random(static_cast<uint64_t>(config.train.seed)).fork("weights");
  return LatticeModel(config, domain.channels, &random, device);
}

// Evaluations see the model at its full depth.
class AtDepth {
 public:
  AtDepth(LatticeModel& model, int64_t loops) : model_(model), whole_(model.loops()) {
    model_.set_loops(loops);
  }
  ~AtDepth() { model_.set_loops(whole_); }
  AtDepth(const AtDepth&) = delete;
  AtDepth& operator=(const AtDepth&) = delete;

 private:
  LatticeModel& model_;
  int64_t whole_;
};

// The order of columns().
enum Column : int64_t { kLoss, kKeepLoss, kSymbolLoss, kConflictLoss, kMoves };

}  // namespace

LatticeStep::LatticeStep(const Config& config, const PuzzleDataset& train, Device device)
    : config_(config),
      domain_(Domain::of(train.task(), config.model.seq_len, config.model.vocab_size)),
      model_(make_model(config, domain_, device)),
      optimizer_(make_optimizer(model_, config.train)),
      schedule_{config.train.lr_warmup_steps, config.train.total_steps, config.train.lr_min_ratio},
      pool_(train, domain_, config) {
  if (config_.train.ema > 0)
    ema_.emplace(model_.named_parameters(kOfficialPrefix), config_.train.ema);
}

const std::vector<MetricColumn>& LatticeStep::columns() const {
  using Per = MetricColumn::Per;
  static const std::vector<MetricColumn> columns = {
      {"loss", Per::row},        {"keep_loss", Per::row},
      {"symbol_loss", Per::row}, {"conflict_loss", Per::row},
      {"finished", Per::window}, {"exact_accuracy", Per::finished},
      {"steps", Per::finished},  {"conflict_accuracy", Per::row},
  };
  return columns;
}

void LatticeStep::run(int64_t step, MetricsWindow& window) {
  const AtDepth at_depth(model_, depth_at(config_.train, step, config_.lattice.loops));
  const LatticeHeads said = learn(step, window);
  const LatticeHeads heads =
      config_.lattice.reuse_pass ? said : model_.predict(pool_.inputs(step).to(device()), {});
  const PoolMoves moves = pool_.advance(step, heads);
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  window.add(kMoves, from_values({number(moves.finished), number(moves.solved),
                                  number(moves.rounds), number(moves.conflicts)},
                                 {4}, DType::f64)
                         .to(device()));
}

// The gradient of all states, in slices that fit the memory, and the update. Returns what the
// network said of the states before it.
LatticeHeads LatticeStep::learn(int64_t step, MetricsWindow& window) {
  const TrainConfig& t = config_.train;
  const LatticeTargets targets = pool_.targets(step);
  const Random masks = Random(static_cast<uint64_t>(t.seed)).fork("dropout");
  Dropout drop = {.p = config_.lattice.dropout,
                  .step = full({1}, static_cast<double>(step), DType::i32, device())};
  const auto states = static_cast<double>(pool_.size());
  Tensors keep, symbol, conflict;
  for (int64_t i = 0; i < t.micro_batches; ++i) {
    const LatticeTargets part =
        targets.rows(i * t.batch_size / t.micro_batches, (i + 1) * t.batch_size / t.micro_batches)
            .to(device());
    drop.seed = masks.fork(static_cast<uint64_t>(i)).seed();
    const LatticeHeads heads = model_.forward(part.alive, drop);
    const LatticeLoss loss = lattice_loss(heads, part, pool_.shares(), config_.lattice);
    check_finite(step, loss.total);
    backward(loss.total);
    // Sums over the rows, of which a line of metrics makes means.
    int64_t column = kLoss;
    for (const Tensor* term : {&loss.total, &loss.keep, &loss.symbol, &loss.conflict})
      window.add(column++, affine(term->detach(), states));
    const auto after_last_loop = [&](const Tensor& all) {
      return all.detach().sliced(0, all.size(0) - part.alive.size(0), all.size(0));
    };
    keep.push_back(after_last_loop(heads.keep));
    symbol.push_back(after_last_loop(heads.symbol));
    conflict.push_back(after_last_loop(heads.conflict));
  }
  check_finite(step, {});
  optimizer_->step(lr(step));
  optimizer_->zero_grad();
  if (ema_) ema_->update();
  return {concat(keep, 0), concat(symbol, 0), concat(conflict, 0)};
}

// Throws if `loss`, or without one any gradient, is not finite.
void LatticeStep::check_finite(int64_t step, const Tensor& loss) const {
  const auto finite = [&](const Tensor& t) {
    Tensor flag = zeros({1}, DType::i32, device());
    HRM_DISPATCH(flag_nonfinite, t.context(), t.dtype(), flag.data<int32_t>(), t.data(), t.numel());
    return flag.to(Device::cpu).data<int32_t>()[0] == 0;
  };
  if (loss.defined()) {
    if (!finite(loss)) throw NotFinite("the loss", step);
    return;
  }
  for (const auto& [name, p] : model_.named_parameters(kOfficialPrefix))
    if (p->value.grad().defined() && !finite(p->value.grad()))
      throw NotFinite("the gradient of " + name, step);
}

EvalResult LatticeStep::evaluate(const PuzzleDataset& test, const EvalOptions& options) const {
  return evaluate_lattice(model_, config_, test, options);
}

void LatticeStep::swap_averages() {
  if (ema_) ema_->swap();
}

NamedTensors LatticeStep::training_tensors() const {
  NamedTensors tensors = optimizer_->state_dict();
  if (ema_)
    for (const auto& entry : ema_->state_dict()) tensors.push_back(entry);
  for (const auto& entry : pool_.tensors()) tensors.push_back(entry);
  return tensors;
}

void LatticeStep::restore(const NamedTensors& training, const Members&, std::vector<std::string>&) {
  optimizer_->load_state_dict(training);
  if (ema_) ema_->load_state_dict(training);
  pool_.load(training);
}

}  // namespace hrm

#include "hrm/train/lattice_step.h"

#include "autograd/engine.h"
#include "autograd/ops/ops.h"
#include "hrm/train/not_finite.h"
#include "kernels/dispatch.h"
#include "kernels/reduce.h"
#include "nn/distributed/gradient_sum.h"

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

LatticeStep::LatticeStep(const Config& config, const PuzzleDataset& train, Device device,
                         const Communicator& ranks)
    : config_(config),
      micro_batches_(config.train, ranks),
      domain_(Domain::of(train.task(), config.model.seq_len, config.model.vocab_size)),
      model_(make_model(config, domain_, device)),
      optimizer_(make_optimizer(model_, config.train)),
      schedule_{config.train.lr_warmup_steps, config.train.total_steps, config.train.lr_min_ratio},
      pool_(train, domain_, config, micro_batches_.own_rows()) {
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
  learn(step, window);
  const LatticeHeads heads = model_.predict(pool_.inputs(step).to(device()), {});
  const PoolMoves moves = pool_.advance(step, heads);
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  const Tensor counts = from_values(
      {number(moves.finished), number(moves.solved), number(moves.rounds), number(moves.conflicts)},
      {4}, DType::f64);
  window.add(kMoves, micro_batches_.ranks().sum(counts).to(device()));
}

// The gradient of all states, in slices that fit the memory, and the update.
void LatticeStep::learn(int64_t step, MetricsWindow& window) {
  const TrainConfig& t = config_.train;
  const Communicator& ranks = micro_batches_.ranks();
  const LatticeTargets targets = pool_.targets(step);
  const auto own_symbols = static_cast<double>(pool_.symbols());
  const LatticeShares shares = {
      t.batch_size,
      static_cast<int64_t>(ranks.sum(from_values({own_symbols}, {1}, DType::f64)).item())};
  const Random masks = Random(static_cast<uint64_t>(t.seed)).fork("dropout");
  DropoutStream drop = {.p = config_.lattice.dropout,
                        .step = full({1}, static_cast<double>(step), DType::i32, device())};
  const auto states = static_cast<double>(t.batch_size);
  const int64_t first = micro_batches_.own_rows().begin;
  GradientSum gradients(model_.named_parameters(), gradient_sum_of(t));
  TreeSum losses(t.micro_batches);
  for (int64_t i = micro_batches_.own().begin; i < micro_batches_.own().end; ++i) {
    const Range rows = micro_batches_.rows(i);
    const LatticeTargets part = targets.rows(rows.begin - first, rows.end - first).to(device());
    drop.seed = masks.fork(static_cast<uint64_t>(i)).seed();
    const LatticeLoss loss =
        lattice_loss(model_.forward(part.alive, drop), part, shares, config_.lattice);
    backward(loss.total);
    gradients.add(i);
    // Sums over the rows, of which a line of metrics makes means.
    const Tensor sums = zeros({kMoves}, DType::f64, device());
    int64_t column = kLoss;
    for (const Tensor* term : {&loss.total, &loss.keep, &loss.symbol, &loss.conflict})
      add_to_sums(sums, column++, affine(term->detach(), states));
    losses.add(i, sums);
  }
  gradients.finish(ranks);
  const Tensor sums = losses.total(ranks);
  check_finite(step, sums.slice(0, kLoss, kLoss + 1));
  check_finite(step, {});
  window.add(kLoss, sums);
  optimizer_->step(lr(step));
  optimizer_->zero_grad();
  if (ema_) ema_->update();
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
  for (const auto& [name, own] : pool_.tensors())
    tensors.emplace_back(name, micro_batches_.ranks().gather(own));
  return tensors;
}

void LatticeStep::restore(const NamedTensors& training, const Members&, std::vector<std::string>&) {
  optimizer_->load_state_dict(training);
  if (ema_) ema_->load_state_dict(training);
  pool_.load(training);
}

}  // namespace hrm

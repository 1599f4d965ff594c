// Training steps, one after the other: outputs, losses, gradients, and the weights after each
// update.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

#include "nn/optim/adam.h"
#include "nn/optim/ema.h"
#include "nn/optim/schedule.h"
#include "nn/optim/sign_sgd.h"
#include "tests/parity/checks.h"

namespace hrm::parity {
namespace {

namespace fs = std::filesystem;

// "at least 99.9 % of the elements within the tolerance, the rest within 2 lr per step".
void check_after(Ledger& ledger, const std::string& quantity, std::vector<double> errors,
                 double tolerance, double outlier) {
  if (errors.empty()) return;
  std::sort(errors.begin(), errors.end());
  const size_t at = errors.size() - 1 - errors.size() / 1000;
  ledger.ratio(quantity, errors[at] / tolerance);
  ledger.ratio(quantity + " (largest)", errors.back() / (outlier + tolerance));
}

bool is_table(const std::string& name) { return name.ends_with("puzzle_emb.weights"); }

// A model in training with its optimizer.
struct Replica {
  Replica(const ModelConfig& c, const NamedTensors& weights, const Json& o, int64_t batch)
      : model(c, nullptr, device), adam(model.named_parameters(kOfficialPrefix), options(o)) {
    model.load_state_dict(weights, kOfficialPrefix);
    carry = initial_carry(model, batch);
  }
  static AdamOptions options(const Json& o) {
    AdamOptions options;
    options.beta1 = o.at("beta1");
    options.beta2 = o.at("beta2");
    options.weight_decay = o.at("weight_decay");
    return options;
  }
  SegmentResult segment(const Batch& batch, const Exploration& exploration, double scale) {
    begin_segment(model, carry, batch, Refill::reference);
    return train_segment(model, carry, exploration, scale);
  }
  void update(const Tensor& puzzle_grad, const Json& o, double lr, double table_lr) {
    if (puzzle_grad.defined())
      sign_sgd_step(*model.puzzle_emb, puzzle_grad, carry.puzzle_ids, table_lr,
                    o.at("puzzle_emb_weight_decay"));
    adam.step(lr);
    adam.zero_grad();
  }
  Model model;
  Adam adam;
  Carry carry;
};

// Adam-atan2 and SignSGD do not see the size of a gradient, so the direction of an element at
// rounding level (below 1e-6 of the tensor's largest, the limit the fixtures name) is noise in f32.
// Such elements are taken from the f64 run of the same steps.
void settle_rounding_level(const Tensor& gradient, const Tensor& precise) {
  Values g = gradient.to_vector();
  const Values p = precise.to_vector();
  double largest = 0;
  for (const double v : g) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < g.size(); ++i)
    if (std::abs(g[i]) < 1e-6 * largest) g[i] = p[i];
  Tensor target = gradient;
  target.copy_from(from_vector(g, gradient.shape()));
}

// A recorded step, with the tolerances advised for it.
struct Recorded {
  const TensorMap tensors;
  const Json& tolerances;

  bool has(const std::string& name) const { return tensors.contains(name); }
  const Tensor& at(const std::string& name) const { return tensors.at(name); }
  double tolerance(const std::string& name) const { return tolerances.value(name, 1e-6); }
  Exploration exploration() const {
    return has("rand.u") ? Exploration{at("rand.u"), at("rand.min_steps")} : Exploration{};
  }
};

// One training run of the official code, repeated.
class Training {
 public:
  Training(Ledger& ledger, const Path& folder, const Json& config, ModelConfig c)
      : ledger_(ledger),
        folder_(folder),
        config_(config),
        optimizer_(config.at("optimizer")),
        dtype_(c.dtype),
        batch_size_(config.at("model").at("batch_size")),
        scale_(1 / optimizer_.at("global_batch_size").get<double>()),
        schedule_{optimizer_.at("lr_warmup_steps"), optimizer_.at("total_steps"),
                  optimizer_.at("lr_min_ratio")},
        weights_(load_named(folder / "weights_init.safetensors")),
        replica_(c, weights_, optimizer_, batch_size_) {
    if (c.dtype == DType::f32) {
      c.dtype = DType::f64;
      precise_.emplace(c, weights_, optimizer_, batch_size_);
    }
    if (!config.at("ema_rate").is_null())
      ema_.emplace(parameters(), config.at("ema_rate").get<double>());
  }

  void run() {
    ledger_.scalar("trainable_parameter_count",
                   static_cast<double>(replica_.model.parameter_count()),
                   config_.at("trainable_parameter_count"), 1e-9);
    const int64_t steps = config_.at("steps");
    for (int64_t i = 0; i < steps; ++i) step(i);
    check_moments();
  }

 private:
  void step(int64_t i) {
    char file[32];
    std::snprintf(file, sizeof file, "step_%02d.safetensors", static_cast<int>(i));
    const Recorded want{load(folder_ / file),
                        config_.at("tolerances_advised").at(i == 0 ? "step0" : "all")};
    if (i == 0)
      check_trace(ledger_, folder_, replica_.model, batch_of(want.tensors),
                  std::max(want.tolerance("carry.z_H"), want.tolerance("out.logits")));
    const SegmentResult r = replica_.segment(batch_of(want.tensors), want.exploration(), scale_);
    check_outputs(want, r);
    check_carry(want);
    check_losses(want, r.loss);
    check_metrics(want, r.metrics.to_vector());
    const Tensor table_grad = r.puzzle_rows.defined() ? r.puzzle_rows.grad() : Tensor();
    check_gradients(want, table_grad);
    if (i == 0) check_zero_rows();

    take_rates(i);
    if (precise_) step_in_f64(want, table_grad);
    if (table_grad.defined()) allow_either_sign(want, table_grad.size(1));
    replica_.update(table_grad, optimizer_, lr_, table_lr_);
    if (ema_) ema_->update();
    const NamedTensors now = replica_.model.state_dict(kOfficialPrefix);
    check_weights(want, now);
    check_statistics(want, now, config_.at("param_stats_per_step").at("values")[i]);
  }

  std::vector<std::pair<std::string, Parameter*>> parameters() {
    return replica_.model.named_parameters(kOfficialPrefix);
  }

  void close(const Recorded& want, const std::string& name, const Tensor& got) {
    ledger_.close(name, got, want.at(name), want.tolerance(name));
  }

  void check_outputs(const Recorded& want, const SegmentResult& r) {
    close(want, "out.logits", r.outputs.logits);
    close(want, "out.q_halt_logits", r.outputs.q.halt);
    close(want, "out.q_continue_logits", r.outputs.q.continue_);
    if (want.has("out.target_q_continue")) close(want, "out.target_q_continue", r.target_q);
    if (want.has("out.preds")) ledger_.exact("out.preds", r.loss.predictions, want.at("out.preds"));
  }

  void check_carry(const Recorded& want) {
    const Carry& carry = replica_.carry;
    const auto exact = [&](const char* name, const Tensor& got) {
      ledger_.exact(name, got, want.at(name));
    };
    exact("cur.inputs", carry.inputs);
    exact("cur.labels", carry.labels);
    exact("cur.puzzle_identifiers", carry.puzzle_ids);
    exact("carry.steps", carry.steps);
    exact("carry.halted", carry.halted);
    close(want, "carry.z_H", carry.state.z_H);
    if (want.has("carry.z_L")) close(want, "carry.z_L", carry.state.z_L);
  }

  void check_losses(const Recorded& want, const LossTerms& loss) {
    close(want, "loss.total", loss.total);
    close(want, "metric.lm_loss", loss.lm);
    close(want, "metric.q_halt_loss", loss.q_halt);
    if (want.has("metric.q_continue_loss"))
      ledger_.close("metric.q_continue_loss", loss.q_continue, want.at("metric.q_continue_loss"),
                    tolerance_of_continue_loss(want));
  }

  // The advised tolerance of this sum can be smaller than those of its terms allow: in bf16, where
  // terms differ visibly, theirs decide.
  double tolerance_of_continue_loss(const Recorded& want) const {
    const double advised = want.tolerance("metric.q_continue_loss");
    if (dtype_ != DType::bf16) return advised;
    const Values q = want.at("out.q_continue_logits").to_vector();
    const Values t = want.at("out.target_q_continue").to_vector();
    double propagated = 0;
    for (size_t b = 0; b < q.size(); ++b)
      propagated +=
          std::abs(1 / (1 + std::exp(-q[b])) - t[b]) * want.tolerance("out.q_continue_logits") +
          std::abs(q[b]) * want.tolerance("out.target_q_continue");
    return std::max(advised, propagated);
  }

  void check_metrics(const Recorded& want, const Values& got) {
    const char* names[5] = {"count", "accuracy", "exact_accuracy", "q_halt_accuracy", "steps"};
    // Where logits tie (bf16), the argmax of a token is not determined: one token may differ.
    const bool ties = config_.at("decision_safety").at("min_argmax_margin_valid") == 0;
    const double token = ties ? 2.0 / static_cast<double>(replica_.model.config().seq_len) : 0;
    for (int k = 0; k < 5; ++k) {
      const std::string name = std::string("metric.") + names[k];
      ledger_.scalar(name, got[k], want.at(name).item(), k == 1 ? 1e-6 + token : 1e-12);
    }
  }

  void check_gradients(const Recorded& want, const Tensor& table_grad) {
    if (want.has("puzzle.local_grad")) {
      close(want, "puzzle.local_grad", table_grad);
      ledger_.exact("puzzle.local_ids", replica_.carry.puzzle_ids, want.at("puzzle.local_ids"));
    }
    for (const auto& [name, p] : parameters()) {
      if (!p->value.grad().defined()) ledger_.ratio("gradient of " + name + " missing", INFINITY);
      if (want.has("grad." + name))
        ledger_.close("grad.*", p->value.grad(), want.at("grad." + name), want.tolerance("grad.*"));
    }
  }

  void check_zero_rows() {
    if (!config_.contains("zero_gradient_rows_at_step0")) return;
    const Json& listed = config_["zero_gradient_rows_at_step0"];
    for (const auto& [name, p] : parameters()) {
      if (!listed.contains(name)) continue;
      for (const int64_t row : listed[name].get<std::vector<int64_t>>())
        for (const double v : p->value.grad().slice(0, row, row + 1).to_vector())
          ledger_.ratio("zero gradient rows", v == 0 ? 0 : INFINITY);
    }
  }

  // The learning rates of a step, and how far they let weights drift.
  void take_rates(int64_t i) {
    lr_ = schedule_(optimizer_.at("lr"), i + 1);
    table_lr_ = schedule_(optimizer_.at("puzzle_emb_lr"), i + 1);
    outlier_ += 2 * lr_;
    table_outlier_ += 2 * table_lr_;
    const Json& recorded = config_.at("lr_per_step")[i];
    const auto& order = recorded.at("order");
    for (size_t k = 0; k < order.size(); ++k)
      ledger_.scalar("lr", order[k] == "model" ? lr_ : table_lr_, recorded.at("lrs")[k], 1e-15);
  }

  // The same step in f64. The gradients of the f32 run take their elements at rounding level from
  // it.
  void step_in_f64(const Recorded& want, const Tensor& table_grad) {
    const SegmentResult r = precise_->segment(batch_of(want.tensors), want.exploration(), scale_);
    const auto check = [&](const std::string& name, const Tensor& got) {
      ledger_.close(name + " f64", got, want.at(name), want.tolerance(name));
    };
    check("out.logits", r.outputs.logits);
    check("carry.z_H", precise_->carry.state.z_H);
    check("loss.total", r.loss.total);
    const auto exact = precise_->model.named_parameters();
    const auto single = replica_.model.named_parameters();
    for (size_t k = 0; k < exact.size(); ++k)
      settle_rounding_level(single[k].second->value.grad(), exact[k].second->value.grad());
    const Tensor precise_grad = r.puzzle_rows.defined() ? r.puzzle_rows.grad() : Tensor();
    if (table_grad.defined()) settle_rounding_level(table_grad, precise_grad);
    precise_->update(precise_grad, optimizer_, lr_, table_lr_);
  }

  // A table element whose summed gradient is within the tolerance of 0 may go either way.
  void allow_either_sign(const Recorded& want, int64_t dim) {
    std::map<int32_t, Values> sums;
    const Values g = want.at("puzzle.local_grad").to_vector();
    const Values ids = want.at("puzzle.local_ids").to_vector();
    for (int64_t b = 0; b < batch_size_; ++b) {
      Values& row = sums[static_cast<int32_t>(ids[b])];
      row.resize(dim);
      for (int64_t d = 0; d < dim; ++d) row[d] += g[b * dim + d];
    }
    table_allowance_.resize(replica_.model.puzzle_emb->weights.numel());
    if (dtype_ != DType::bf16) return;
    for (const auto& [id, row] : sums)
      for (int64_t d = 0; d < dim; ++d)
        if (std::abs(row[d]) < want.tolerance("puzzle.local_grad"))
          table_allowance_[id * dim + d] += 2 * table_lr_;
  }

  // Weights and their averages after the update.
  void check_weights(const Recorded& want, const NamedTensors& now) {
    const NamedTensors averages = ema_ ? ema_->state_dict() : NamedTensors{};
    Values errors, table_errors, ema_errors;
    for (const auto& [name, tensor] : want.tensors) {
      const bool after = name.starts_with("after."), averaged = name.starts_with("ema.");
      if (!after && !averaged) continue;
      const Tensor* got = after ? find(now, name.substr(6)) : find(averages, name);
      if (!got) {
        ledger_.ratio(name + " (no such tensor)", INFINITY);
        continue;
      }
      const bool table = after && is_table(name);
      const Values g = got->to_vector(), w = tensor.to_vector();
      Values& list = averaged ? ema_errors : table ? table_errors : errors;
      for (size_t k = 0; k < g.size(); ++k)
        list.push_back(std::max(0.0, std::abs(g[k] - w[k]) - (table ? table_allowance_[k] : 0.0)));
    }
    check_after(ledger_, "after.*", errors, want.tolerance("after.*"), outlier_);
    check_after(ledger_, "after.puzzle_emb.weights", table_errors,
                want.tolerance("after.puzzle_emb.weights"), table_outlier_);
    check_after(ledger_, "ema.*", ema_errors, want.tolerance("ema.*"), outlier_);
  }

  // Sum, norm and largest entry of every tensor, also where the tensors were not dumped.
  void check_statistics(const Recorded& want, const NamedTensors& now, const Json& statistics) {
    for (const auto& [name, numbers] : statistics.items()) {
      const Tensor* got = find(now, name);
      if (!got) {
        ledger_.ratio("param_stats " + name + " (no such tensor)", INFINITY);
        continue;
      }
      double total = 0, squares = 0, largest = 0;
      for (const double v : got->to_vector()) {
        total += v;
        squares += v * v;
        largest = std::max(largest, std::abs(v));
      }
      const double n = static_cast<double>(got->numel());
      const bool table = is_table(name);
      const double each = want.tolerance(table ? "after.puzzle_emb.weights" : "after.*");
      // 0.1 % of the elements may be outliers; errors of single elements add up at random.
      const double stray = (table ? table_outlier_ : outlier_) * std::ceil(n / 1000);
      ledger_.scalar("param_stats sum", total, numbers[0], each * n + stray);
      ledger_.scalar("param_stats norm", std::sqrt(squares), numbers[1],
                     each * std::sqrt(n) + stray);
      ledger_.scalar("param_stats max", largest, numbers[2], each + stray);
    }
  }

  // The optimizer's moments after the last step.
  void check_moments() {
    const Path moments = folder_ / "opt_state_final.safetensors";
    if (!fs::exists(moments)) return;
    const NamedTensors state = replica_.adam.state_dict();
    // A moment is a mean of gradients (or of their squares), so their tolerance bounds it.
    const double tolerance = config_.at("tolerances_advised").at("all").value("grad.*", 1e-6);
    for (const auto& [name, want] : load(moments)) {
      const Tensor* got = find(state, name);
      if (got)
        ledger_.close(name.starts_with("exp_avg_sq") ? "exp_avg_sq" : "exp_avg", *got, want,
                      tolerance, 1e-3);
      else
        ledger_.ratio(name + " (no such tensor)", INFINITY);
    }
  }

  Ledger& ledger_;
  const Path folder_;
  const Json& config_;
  const Json& optimizer_;
  const DType dtype_;
  const int64_t batch_size_;
  const double scale_;
  const Schedule schedule_;
  const NamedTensors weights_;
  Replica replica_;
  std::optional<Replica> precise_;  // beside a run in f32, the same run in f64
  std::optional<Ema> ema_;
  double lr_ = 0, table_lr_ = 0;            // of the step at hand
  double outlier_ = 0, table_outlier_ = 0;  // how far a sign-like optimizer may have drifted
  Values table_allowance_;                  // the same for elements whose sign is not determined
};

}  // namespace

void check_training(Ledger& ledger, const Path& folder, const Json& config) {
  const ModelConfig c =
      model_config(config.at("model"), config.at("family"), config.at("loss_type"));
  check_rope_tables(ledger, folder, c);
  Training(ledger, folder, config, c).run();
}

}  // namespace hrm::parity

#include "hrm/lab/bias_meter.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/gradient_rule.h"
#include "hrm/support/clock.h"

namespace hrm::lab {
namespace {

enum Group : size_t { kAll, kEmbeddings, kL, kH, kHeads };

Group group_of(const std::string& name) {
  if (name.starts_with("L_level.")) return kL;
  if (name.starts_with("H_level.")) return kH;
  return name.starts_with("lm_head.") || name.starts_with("q_head.") ? kHeads : kEmbeddings;
}

double dot(const Tensor& a, const Tensor& b) {
  return a.defined() && b.defined() ? sum(a.to(DType::f64) * b.to(DType::f64)).item() : 0;
}

// |b - a| / |a|, the mean over the rows; undefined tensors give NaN.
double change(const Tensor& a, const Tensor& b) {
  if (!a.defined()) return NAN;
  const auto squares = [](const Tensor& t) {
    const Tensor rows = reshape(t.contiguous().to(DType::f64), {t.size(0), -1});
    return sum(rows * rows, 1);
  };
  return mean(sqrt(squares(b - a) / (squares(a) + 1e-300)), 0).item();
}
StateChange change(const State& a, const State& b) {
  return {change(a.z_H, b.z_H), change(a.z_L, b.z_L)};
}

// Sees the products that the rules of the fixed point are made of.
class Probe : public Equilibrium {
 public:
  using Equilibrium::Equilibrium;
  Tensor solve(const Tensor& g, const Product& product) const override {
    result = spectral_radius(product, Random(1).normal(g.shape(), 1, g.dtype(), g.device()), k_);
    return g;
  }
  mutable SpectralRadius result{};
};

// S of "unrolled:S"; 0 for other rules.
int64_t unrolled_segments(const std::string& rule) {
  if (!rule.starts_with("unrolled:")) return 0;
  const std::string count = rule.substr(9);
  HRM_CHECK(!count.empty() && count.size() < 5 && count[0] != '0' &&
                count.find_first_not_of("0123456789") == std::string::npos,
            "[lab] unrolled:S needs a number of segments from 1, got '", rule, "'");
  return std::stoll(count);
}

std::unique_ptr<GradientStrategy> rule_named(const std::string& rule, ModelConfig config) {
  config.gradient = rule;
  return make_gradient_strategy(config);
}

// "-" for a number that there is not.
std::string number(fmt::format_string<double&> pattern, double value) {
  return std::isnan(value) ? "-" : fmt::format(pattern, value);
}

}  // namespace

Alignment align(const Tensors& gradient, const Tensors& reference) {
  double both = 0, g = 0, r = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    both += dot(gradient[i], reference[i]);
    g += dot(gradient[i], gradient[i]);
    r += dot(reference[i], reference[i]);
  }
  return {g > 0 && r > 0 ? both / std::sqrt(g * r) : NAN, r > 0 ? std::sqrt(g / r) : NAN};
}

SpectralRadius spectral_radius(const Equilibrium::Product& product, const Tensor& start,
                               int64_t iterations) {
  const NoGradGuard no_grad;
  const auto norm = [](const Tensor& t) { return sqrt(sum(t * t, 1, true)); };
  std::vector<double> logs(start.size(0));
  Tensor u = start / norm(start);
  const int64_t skipped = iterations / 2;
  for (int64_t i = 0; i < iterations; ++i) {
    const Tensor v = product(u), length = norm(v);
    u = v / (length + 1e-30);
    const std::vector<double> growth = length.to_vector();
    for (size_t row = 0; i >= skipped && row < logs.size(); ++row)
      logs[row] += std::log(growth[row]) / static_cast<double>(iterations - skipped);
  }
  SpectralRadius radius{0, 0};
  for (const double l : logs) {
    radius.mean += std::exp(l) / static_cast<double>(logs.size());
    radius.max = std::max(radius.max, std::exp(l));
  }
  return radius;
}

BiasMeter::BiasMeter(const Model& model, const Carry& carry, int repeats)
    : model_(model), carry_(carry), repeats_(repeats) {
  const ModelConfig& c = model.config();
  check_measurable(c);
  for (const auto& [name, p] : model.named_parameters()) {
    weights_.push_back(p->value);
    groups_.push_back(group_of(name));
  }
  groups_.push_back(kEmbeddings);
  model.prepare();
  const Recurrence r = model.recurrence();
  if (c.continue_loss && c.halt_max_steps > 1) {
    const NoGradGuard no_grad;
    const Tensor x = model.input_embeddings(carry.inputs, puzzle_rows());
    target_ = target_q(model, carry, r.advance(carry.state, x, r.updates.size()), x);
  }
  reference_ = gradient([&](const Tensor& x) { return FullBptt().run(r, carry.state, x); }, &loss_);
}

// A leaf of its own in every run.
Tensor BiasMeter::puzzle_rows() const {
  return model_.puzzle_emb ? model_.puzzle_emb->rows(carry_.puzzle_ids, true) : Tensor();
}

Tensors BiasMeter::gradient(const Run& run, double* loss) const {
  const Tensor rows = puzzle_rows();
  const State end = run(model_.input_embeddings(carry_.inputs, rows));
  const LossTerms terms =
      loss_terms(model_.config(), model_.heads(end.z_H), carry_.labels, target_);
  const Tensor mean = terms.total * (1.0 / static_cast<double>(carry_.batch()));
  Tensors inputs = weights_;
  if (rows.defined()) inputs.push_back(rows);
  const Tensors found = grad({mean}, inputs);
  const double value = mean.item();  // on a GPU this waits for all of it
  if (loss) *loss = value;
  return found;
}

RuleBias BiasMeter::measure(const std::string& name, const Run& run) const {
  RuleBias bias;
  bias.rule = name;
  const Device device = carry_.steps.device();
  std::vector<double> times;
  Tensors found;
  for (int i = 0; i < repeats_; ++i) {
    found.clear();
    reset_peak(device);
    const double held = static_cast<double>(allocator_stats(device).in_use);
    const double started = seconds_now();
    found = gradient(run);
    times.push_back(1e3 * (seconds_now() - started));
    bias.peak_bytes = static_cast<double>(allocator_stats(device).peak) - held;
  }
  std::nth_element(times.begin(), times.begin() + repeats_ / 2, times.end());
  bias.milliseconds = times[repeats_ / 2];
  bias.residual = NAN;
  for (size_t group = 0; group < bias.groups.size(); ++group) {
    Tensors mine, reference;
    for (size_t i = 0; i < found.size(); ++i) {
      if (group != kAll && groups_[i] != group) continue;
      mine.push_back(found[i]);
      reference.push_back(reference_[i]);
    }
    bias.groups[group] = align(mine, reference);
  }
  return bias;
}

RuleBias BiasMeter::measure(const std::string& name, const GradientStrategy& rule) {
  const Recurrence r = model_.recurrence();
  RuleBias bias = measure(name, Run([&](const Tensor& x) { return rule.run(r, carry_.state, x); }));
  const auto* solver = dynamic_cast<const Equilibrium*>(&rule);
  if (solver && solver->residual().defined()) bias.residual = mean(solver->residual(), 0).item();
  return bias;
}

RuleBias BiasMeter::measure(const std::string& rule) {
  if (const int64_t segments = unrolled_segments(rule)) return measure_unrolled(rule, segments);
  return measure(rule, *rule_named(rule, model_.config()));
}

void check_measurable(const ModelConfig& config) {
  HRM_CHECK(config.halting == Halting::q_learning, "[lab] gradients are measured for halting ",
            "q_learning, got halting ", to_string(config.halting),
            ". HINT: a preset or a run with that rule");
  HRM_CHECK(!config.step_signal && !config.input_once,
            "[lab] gradients are measured for inputs that are the same in all segments. HINT: a "
            "preset or a run with step_signal and input_once false");
}

void check_rule(const std::string& rule, const ModelConfig& config) {
  if (!unrolled_segments(rule)) rule_named(rule, config);
}

// The segment that lies `back` segments before this one, for the rows that had begun by then.
State BiasMeter::one_before(const State& state, const Tensor& x, int64_t back) const {
  const Recurrence r = model_.recurrence();
  const State next =
      grad_enabled() ? FullBptt().run(r, state, x) : r.advance(state, x, r.updates.size());
  const Tensor begun = compare(CompareOp::gt, carry_.steps.to(DType::f32), double(back));
  const auto choose = [&](const Tensor& a, const Tensor& b) {
    return a.defined() ? where(begun.view({begun.numel(), 1, 1}), a, b) : Tensor();
  };
  return {choose(next.z_H, state.z_H), choose(next.z_L, state.z_L)};
}

RuleBias BiasMeter::measure_unrolled(const std::string& name, int64_t segments) const {
  const auto longest = static_cast<int64_t>(max(carry_.steps.to(DType::f32), 0).item());
  const int64_t recorded = std::min(segments, std::max<int64_t>(longest, 1)) - 1;
  State start = model_.initial_state(carry_.batch());
  {
    const NoGradGuard no_grad;
    const Tensor x = model_.input_embeddings(carry_.inputs, puzzle_rows());
    for (int64_t back = longest - 1; back > recorded; --back) start = one_before(start, x, back);
  }
  return measure(name, Run([&](const Tensor& x) {
                   State state = carry_.state, past = start;
                   for (int64_t back = recorded; back > 0; --back) past = one_before(past, x, back);
                   // The values of the carry, the gradient of the segments before.
                   const auto link = [](const Tensor& value, const Tensor& gradient) {
                     return value.defined() ? gradient + (value - gradient.detach()) : Tensor();
                   };
                   if (recorded > 0) state = {link(state.z_H, past.z_H), link(state.z_L, past.z_L)};
                   return FullBptt().run(model_.recurrence(), state, x);
                 }));
}

StateChange BiasMeter::last_updates() const {
  const NoGradGuard no_grad;
  const Tensor x = model_.input_embeddings(carry_.inputs, puzzle_rows());
  const Recurrence r = model_.recurrence();
  State state = carry_.state;
  StateChange last{NAN, NAN};
  for (const Level level : r.updates) {
    const State next = r.apply(level, state, x);
    (level == Level::H ? last.z_H : last.z_L) =
        level == Level::H ? change(state.z_H, next.z_H) : change(state.z_L, next.z_L);
    state = next;
  }
  return last;
}

StateChange BiasMeter::one_more_map() const {
  const NoGradGuard no_grad;
  const Tensor x = model_.input_embeddings(carry_.inputs, puzzle_rows());
  const Recurrence r = model_.recurrence();
  const State end = r.advance(carry_.state, x, r.updates.size());
  State next = end;
  for (size_t i = r.updates.size() - std::min<size_t>(2, r.updates.size()); i < r.updates.size();
       ++i)
    next = r.apply(r.updates[i], next, x);
  return change(end, next);
}

SpectralRadius BiasMeter::radius(int64_t iterations) const {
  const Probe probe(iterations);
  const Recurrence r = model_.recurrence();
  gradient([&](const Tensor& x) { return probe.run(r, carry_.state, x); });
  return probe.result;
}

Json RuleBias::to_json() const {
  Json json = {{"rule", rule}};
  for (size_t i = 0; i < groups.size(); ++i) {
    json["cosine"][kGradientGroups[i]] = groups[i].cosine;
    json["norm_ratio"][kGradientGroups[i]] = groups[i].ratio;
  }
  json["milliseconds"] = milliseconds;
  json["peak_bytes"] = peak_bytes;
  json["residual"] = residual;
  return json;
}

Json BiasReport::to_json() const {
  Json json = {{"loss", loss}, {"rules", Json::array()}};
  for (const RuleBias& rule : rules) json["rules"].push_back(rule.to_json());
  json["last_updates"] = {{"z_H", last_updates.z_H}, {"z_L", last_updates.z_L}};
  json["one_more_map"] = {{"z_H", one_more_map.z_H}, {"z_L", one_more_map.z_L}};
  json["spectral_radius"] = {{"mean", radius.mean}, {"max", radius.max}};
  return json;
}

std::string BiasReport::to_text() const {
  std::string text = "rule           |cosine:";
  for (const char* group : kGradientGroups)
    text += fmt::format("{:>{}}", group, group == kGradientGroups[0] ? 4 : 7);
  text += " | ratio |     ms | peak MiB | residual\n";
  for (const RuleBias& b : rules) {
    text += fmt::format("{:<15}|    ", b.rule);
    for (const Alignment& a : b.groups) text += fmt::format("{:>7}", number("{:.3f}", a.cosine));
    text += fmt::format(" | {:>5} |{:>7.1f} | {:>8.1f} | {:>8}\n",
                        number("{:.2f}", b.groups[kAll].ratio), b.milliseconds,
                        b.peak_bytes / (1 << 20), number("{:.1e}", b.residual));
  }
  const auto line = [&](const char* what, const StateChange& c) {
    text +=
        fmt::format("{}: z_H {}, z_L {}\n", what, number("{:.3f}", c.z_H), number("{:.3f}", c.z_L));
  };
  line("change by the last update of each state", last_updates);
  line("change by one more F from the end", one_more_map);
  return text + fmt::format("spectral radius of dF/dz: {:.2f} on average, at most {:.2f}\n",
                            radius.mean, radius.max);
}

const std::vector<std::string>& default_rules() {
  static const std::vector<std::string> rules = [] {
    std::vector<std::string> all;
    for (const GradientRuleInfo& rule : gradient_rules())
      for (const char* numbers : rule.measured) all.push_back(std::string(rule.name) + numbers);
    all.insert(all.end(), {"unrolled:2", "unrolled:4"});
    return all;
  }();
  return rules;
}

BiasReport measure_bias(const Model& model, const Carry& carry,
                        const std::vector<std::string>& rules,
                        const std::function<void()>& on_progress) {
  BiasMeter meter(model, carry);
  BiasReport report;
  report.loss = meter.loss();
  for (const std::string& rule : rules) {
    report.rules.push_back(meter.measure(rule));
    if (on_progress) on_progress();
  }
  report.last_updates = meter.last_updates();
  report.one_more_map = meter.one_more_map();
  report.radius = meter.radius();
  return report;
}

}  // namespace hrm::lab

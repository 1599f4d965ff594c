// How far the gradient of each rule is from backpropagation through the whole segment: on one
// carry, under frozen weights, by group of parameters; and what the rules of the fixed point rest
// on: how far the states are from rest, and the spectral radius of J = dF/dz.
//
//     BiasMeter meter(model, carry);
//     const RuleBias bias = meter.measure("neumann:4");
//     show(bias.groups[0].cosine);   // over all parameters
#pragma once

#include <array>

#include "hrm/model/equilibrium.h"
#include "hrm/model/segment.h"

namespace hrm::lab {

// Of a gradient g to a reference r, over all their elements: g'r / |g||r| and |g| / |r|. A tensor
// that is undefined in either is zero. The cosine is NaN if one of both is zero, the ratio if r is.
struct Alignment {
  double cosine, ratio;
};
Alignment align(const Tensors& gradient, const Tensors& reference);

// Groups of parameters in every report: all of them; embeddings (of tokens, positions and
// conditioning, and the puzzle rows of the batch); the L and the H network; the heads.
inline constexpr std::array<const char*, 5> kGradientGroups = {"all", "emb", "L", "H", "heads"};

struct RuleBias {
  std::string rule;
  std::array<Alignment, kGradientGroups.size()> groups;
  double milliseconds = 0;  // forward, loss and gradient: the median of the repeats
  double peak_bytes = 0;    // above what was held before, the gradient itself included
  double residual = 0;      // mean of Equilibrium::residual() over the rows; NaN without one
  Json to_json() const;
};

// Relative change |new - old| / |old| of the two states, the mean over the rows; NaN without z_L.
struct StateChange {
  double z_H, z_L;
};

// The growth of a row under u <- J'u, u <- u / |u|: the geometric mean over the later half of the
// iterations, then mean and maximum over the rows. Where the largest eigenvalue is one of a complex
// pair the growth oscillates around its modulus, and this is an average.
struct SpectralRadius {
  double mean, max;
};
// start: [batch, n].
SpectralRadius spectral_radius(const Equilibrium::Product& product, const Tensor& start,
                               int64_t iterations);

// Measures on one carry, after begin_segment. Neither model nor carry nor any .grad is changed; the
// carry must stay as it is while the meter lives.
class BiasMeter {
 public:
  BiasMeter(const Model& model, const Carry& carry, int repeats = 3);

  // A rule by its name in the configuration; or "unrolled:S", the gradient of this segment's loss
  // by backpropagation through it and the S - 1 segments before it, in every row as far back as its
  // first. The segments before are run again under today's weights, while this one starts from the
  // carry's own states, so that all rules see the same loss.
  RuleBias measure(const std::string& rule);
  // A rule of the caller's own.
  RuleBias measure(const std::string& name, const GradientStrategy& rule);

  double loss() const { return loss_; }  // per row: lm + (q_halt + q_continue) / 2
  const Tensors& reference() const { return reference_; }  // the gradient of full_bptt
  StateChange last_updates() const;                        // by the last update of each state
  StateChange one_more_map() const;                        // by one more F from the end
  SpectralRadius radius(int64_t iterations = 40) const;

 private:
  using Run = std::function<State(const Tensor& x)>;
  Tensors gradient(const Run& run, double* loss = nullptr) const;
  RuleBias measure(const std::string& name, const Run& run) const;
  RuleBias measure_unrolled(const std::string& name, int64_t segments) const;
  State one_before(const State& state, const Tensor& x, int64_t back) const;
  Tensor puzzle_rows() const;

  const Model& model_;
  const Carry& carry_;
  int repeats_;
  Tensors weights_;
  std::vector<size_t> groups_;  // of weights_, then of the puzzle rows
  Tensor target_;               // of q_continue
  double loss_ = 0;
  Tensors reference_;
};

// What the command measures at one point of a training.
struct BiasReport {
  double loss = 0;
  std::vector<RuleBias> rules;
  StateChange last_updates{}, one_more_map{};
  SpectralRadius radius{};
  Json to_json() const;
  std::string to_text() const;  // a table of the rules, then the rest
};
const std::vector<std::string>& default_rules();
// An Error unless BiasMeter can measure such a model, or unless BiasMeter::measure knows the rule.
void check_measurable(const ModelConfig& config);
void check_rule(const std::string& rule, const ModelConfig& config);
BiasReport measure_bias(const Model& model, const Carry& carry,
                        const std::vector<std::string>& rules,
                        const std::function<void()>& on_progress = {});

}  // namespace hrm::lab

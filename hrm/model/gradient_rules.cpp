// The table of gradient rules (hrm/gradient_rule.h): one row a rule, and nothing else to do to add
// one. What the rules do is in gradient_strategy.h and equilibrium.h.
#include <algorithm>

#include "hrm/gradient_rule.h"
#include "hrm/model/equilibrium.h"

namespace hrm {
namespace {

using Numbers = std::vector<double>;
using Made = std::unique_ptr<GradientStrategy>;

constexpr double kMost = 1e6;
constexpr RuleParameter kCount{"K", 1, kMost, true};
constexpr RuleParameter kCountFrom0{"K", 0, kMost, true};
constexpr RuleParameter kLambda{"LAMBDA", 1e-6, 1, false};

int64_t whole(double number) { return static_cast<int64_t>(number); }

// For rules with one parameter, K.
template <class Rule>
Made with_count(const Numbers& n, const ModelConfig&) {
  return std::make_unique<Rule>(whole(n[0]));
}
// For rules with LAMBDA and K.
template <class Rule>
Made with_lambda(const Numbers& n, const ModelConfig&) {
  return std::make_unique<Rule>(n[0], whole(n[1]));
}

}  // namespace

const std::vector<GradientRuleInfo>& gradient_rules() {
  static const std::vector<GradientRuleInfo> rules = {
      {"one_step",
       {},
       "records the last L and the last H update (HRM)",
       {""},
       [](const Numbers&, const ModelConfig&) -> Made { return std::make_unique<LastK>(2); }},
      {"last_k", {kCount}, "records the last K updates", {":4"}, with_count<LastK>},
      {"last_cycle",
       {},
       "records the last cycle, L_cycles + 1 updates (TRM)",
       {""},
       [](const Numbers&, const ModelConfig& config) -> Made {
         return std::make_unique<LastK>(config.L_cycles + 1);
       }},
      {"full_bptt",
       {},
       "backpropagates through every update of the segment",
       {""},
       [](const Numbers&, const ModelConfig&) -> Made { return std::make_unique<FullBptt>(); }},
      {"checkpointed",
       {},
       "full_bptt in less memory: stretches are computed again",
       {""},
       [](const Numbers&, const ModelConfig&) -> Made { return std::make_unique<Checkpointed>(); }},
      {"neumann",
       {kCountFrom0},
       "K terms of the Neumann series of the fixed point",
       {":1", ":4"},
       with_count<Neumann>},
      {"phantom",
       {kLambda, kCount},
       "K damped terms of the series (phantom gradient)",
       {":0.5:4"},
       with_lambda<Phantom>},
      {"damped",
       {kLambda, kCount},
       "records K further damped updates from the end",
       {":0.5:4"},
       with_lambda<DampedUnrolling>},
      {"anderson",
       {kCount},
       "solves for the fixed point's gradient in at most K products",
       {":8"},
       with_count<Anderson>},
      {"broyden", {kCount}, "the same by Broyden's method", {":8"}, with_count<Broyden>},
  };
  return rules;
}

Made make_gradient_strategy(const ModelConfig& config) {
  const GradientRule rule = parse_gradient_rule(config.gradient);
  const auto info = std::ranges::find_if(
      gradient_rules(), [&](const GradientRuleInfo& row) { return rule.name == row.name; });
  return info->make(rule.numbers, config);
}

}  // namespace hrm

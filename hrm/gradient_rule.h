// The gradient rules by name. The table is filled in hrm/model/gradient_rules.cpp, one row a rule;
// the parser, the texts of errors, `hrm info`, the estimate of a run and the list that `hrm lab
// gradients` measures follow from it.
//
//     const GradientRule rule = parse_gradient_rule("phantom:0.5:4");   // {"phantom", {0.5, 4}}
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace hrm {

struct ModelConfig;
class GradientStrategy;  // hrm/model/gradient_strategy.h

// A rule taken apart: its name, and its numbers in the order of the parameters.
struct GradientRule {
  std::string name;
  std::vector<double> numbers;
};

struct RuleParameter {
  const char* name;
  double low, high;  // both ends included
  bool whole;        // a whole number
};

struct GradientRuleInfo {
  const char* name;
  std::vector<RuleParameter> parameters;
  const char* help;                   // what it is, in a sentence
  std::vector<const char*> measured;  // numbers that `hrm lab gradients` takes by default
  std::unique_ptr<GradientStrategy> (*make)(const std::vector<double>& numbers,
                                            const ModelConfig& config);

  // How it is written: "phantom:LAMBDA:K".
  std::string form() const;
};

const std::vector<GradientRuleInfo>& gradient_rules();

// An Error of one line if there is no such rule, or its numbers are missing, no numbers or out of
// range.
GradientRule parse_gradient_rule(const std::string& text);

}  // namespace hrm

#include "hrm/gradient_rule.h"

#include <charconv>
#include <cmath>
#include <sstream>

#include "hrm/support/text.h"

namespace hrm {
namespace {

double parse_number(std::string_view word, const RuleParameter& p) {
  double value = std::nan("");
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, value);
  if (error != std::errc() || rest != end) return std::nan("");
  return p.whole && value != std::floor(value) ? std::nan("") : value;
}

// "a whole number in 1..1000000"
std::string range_of(const RuleParameter& p) {
  std::ostringstream text;
  if (p.whole)
    text << "a whole number in " << static_cast<int64_t>(p.low) << ".."
         << static_cast<int64_t>(p.high);
  else
    text << "a number in " << p.low << ".." << p.high;
  return text.str();
}

}  // namespace

std::string GradientRuleInfo::form() const {
  std::string text = name;
  for (const RuleParameter& p : parameters) text += std::string(":") + p.name;
  return text;
}

GradientRule parse_gradient_rule(const std::string& text) {
  const std::vector<std::string_view> words = split(text, ':');
  std::vector<std::string> names, forms;
  for (const GradientRuleInfo& info : gradient_rules()) {
    names.push_back(info.name);
    forms.push_back(info.form());
    if (words[0] != info.name) continue;
    HRM_CHECK(words.size() == info.parameters.size() + 1, "[config] gradient must be of the form ",
              info.form(), ", got '", text, "'");
    GradientRule rule{info.name, {}};
    for (size_t i = 0; i < info.parameters.size(); ++i) {
      const RuleParameter& p = info.parameters[i];
      const double value = parse_number(words[i + 1], p);
      HRM_CHECK(value >= p.low && value <= p.high, "[config] gradient ", info.form(), ": ", p.name,
                " must be ", range_of(p), ", got '", text, "'");
      rule.numbers.push_back(value);
    }
    return rule;
  }
  detail::fail("[config] gradient must be one of ", join(forms, ", "), ", got '", text, "'",
               did_you_mean(std::string(words[0]), names));
}

}  // namespace hrm

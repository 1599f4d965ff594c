#include "hrm/cli/command.h"

#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include <CLI/CLI.hpp>

#include "hrm/support/progress.h"
#include "hrm/support/text.h"

namespace hrm {
namespace {

// Checks of values. What they say when a value does not fit names the range as a person would, and
// the same words stand in the help.

template <class T>
bool parse_number(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && rest == end;
}

std::string text_of(double value) {
  std::ostringstream text;
  text.precision(15);
  text << value;
  return text.str();
}

CLI::Validator whole_numbers(int64_t low, int64_t high = kNoLimit) {
  const std::string start = std::to_string(low);
  const std::string end = high == kNoLimit ? "" : std::to_string(high);
  const std::string range = end.empty() ? " of at least " + start : " in " + start + ".." + end;
  const auto check = [=](std::string& text) {
    int64_t value = 0;
    const bool fits = parse_number(text, value) && value >= low && value <= high;
    return fits ? "" : "must be a whole number" + range + ", got '" + text + "'";
  };
  return CLI::Validator(check, start + ".." + end);
}

CLI::Validator numbers(double low) {
  const auto check = [low](std::string& text) {
    double value = 0;
    const bool fits = parse_number(text, value) && std::isfinite(value) && value >= low;
    return fits ? "" : "must be a number of at least " + text_of(low) + ", got '" + text + "'";
  };
  return CLI::Validator(check, text_of(low) + "..");
}

CLI::Validator finite_numbers() {
  const auto check = [](std::string& text) {
    double value = 0;
    const bool fits = parse_number(text, value) && std::isfinite(value);
    return fits ? "" : "must be a number, got '" + text + "'";
  };
  return CLI::Validator(check, "");
}

// A number of seconds of "60s", "5m", "1h" or "90".
CLI::Validator seconds() {
  const auto read = [](std::string& text) -> std::string {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [unit, error] = std::from_chars(text.data(), end, value);
    const std::map<std::string, double> units = {
        {"", 1}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}};
    const auto found = units.find(std::string(unit, end));
    if (error != std::errc() || found == units.end() || !(value > 0 && value <= 1e6))
      return "must be a time such as 60s, 5m or 1h, got '" + text + "'";
    text = text_of(value * found->second);
    return "";
  };
  return CLI::Validator(read, "");
}

CLI::Validator shards() {
  const auto check = [](std::string& text) {
    return Shard::parse(text) ? ""
                              : "must be a part such as 2/4, from 1/4 to 4/4, got '" + text + "'";
  };
  return CLI::Validator(check, "I/N");
}

// One of a few words; the nearest is suggested.
CLI::Validator one_of(const std::vector<std::string>& words) {
  const auto check = [words](std::string& text) -> std::string {
    if (std::find(words.begin(), words.end(), text) != words.end()) return "";
    const std::string close = nearest(text, words);
    return "must be " + alternatives(words) + ", got '" + text + "'" +
           (close.empty() ? "" : ". HINT: did you mean " + close + "?");
  };
  std::string shown;
  for (const std::string& word : words) shown += (shown.empty() ? "" : "|") + word;
  return CLI::Validator(check, shown);
}

// Characters for the help beside the names of options.
size_t help_width() {
  constexpr int kWidest = 100, kNarrowest = kHelpColumn + 26;
  static const int width =
      std::clamp(terminal_width(stdout, kWidest), kNarrowest, kWidest) - kHelpColumn;
  return width;
}

// Breaks a text into lines that fit there.
std::string wrapped(const std::string& text) {
  std::string lines;
  size_t length = 0;  // of the last of them
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const bool fits = length + 1 + word.size() <= help_width();
    if (!lines.empty()) lines += fits ? ' ' : '\n';
    lines += word;
    length = word.size() + (fits ? length + 1 : 0);
  }
  return lines;
}

}  // namespace

Option Option::required(bool yes) const {
  option_->required(yes);
  return *this;
}

Option Option::needs(Option other) const {
  option_->needs(other.option_);
  return *this;
}

Option Option::excludes(Option other) const {
  option_->excludes(other.option_);
  return *this;
}

Option Option::shown_as(const std::string& value) const {
  option_->type_name(value);
  return *this;
}

bool Option::given() const { return option_->count() > 0; }

Command Command::command(const std::string& name, const std::string& help) const {
  app_->require_subcommand(1);
  return Command(app_->add_subcommand(name, help));
}

void Command::action(std::function<void()> run) const { app_->callback(std::move(run)); }

void Command::footer(const std::string& text) const { app_->footer(text); }

void Command::section(const std::string& heading) const { app_->option_defaults()->group(heading); }

void Command::hide() const { app_->group(""); }

Option Command::flag(const std::string& name, bool& value, const std::string& help) const {
  return Option(app_->add_flag(name, value, wrapped(help)));
}

Option Command::text(const std::string& name, std::string& value, const std::string& help) const {
  return Option(app_->add_option(name, value, wrapped(help)));
}

Option Command::texts(const std::string& name, std::vector<std::string>& value,
                      const std::string& help) const {
  return Option(app_->add_option(name, value, wrapped(help)));
}

Option Command::list(const std::string& name, std::vector<std::string>& value,
                     const std::string& help) const {
  return Option(app_->add_option(name, value, wrapped(help))->delimiter(','));
}

Option Command::list(const std::string& name, std::vector<int64_t>& value, int64_t low,
                     const std::string& help) const {
  return Option(
      app_->add_option(name, value, wrapped(help))->delimiter(',')->check(whole_numbers(low)));
}

Option Command::choice(const std::string& name, std::string& value,
                       const std::vector<std::string>& words, const std::string& help) const {
  return Option(app_->add_option(name, value, wrapped(help))->check(one_of(words)));
}

Option Command::choice(const std::string& name, int& value, const std::vector<int>& numbers,
                       const std::string& help) const {
  std::vector<std::string> words;
  words.reserve(numbers.size());
  for (const int number : numbers) words.push_back(std::to_string(number));
  return Option(app_->add_option(name, value, wrapped(help))->check(one_of(words)));
}

template <class T>
Option Command::whole_number(const std::string& name, T& value, int64_t low, int64_t high,
                             const std::string& help) const {
  return Option(app_->add_option(name, value, wrapped(help))->check(whole_numbers(low, high)));
}
template Option Command::whole_number(const std::string&, int&, int64_t, int64_t,
                                      const std::string&) const;
template Option Command::whole_number(const std::string&, int64_t&, int64_t, int64_t,
                                      const std::string&) const;
template Option Command::whole_number(const std::string&, uint64_t&, int64_t, int64_t,
                                      const std::string&) const;

Option Command::finite_number(const std::string& name, double& value,
                              const std::string& help) const {
  return Option(app_->add_option(name, value, wrapped(help))->check(finite_numbers()));
}

Option Command::number(const std::string& name, double& value, double low,
                       const std::string& help) const {
  return Option(app_->add_option(name, value, wrapped(help))->check(numbers(low)));
}

Option Command::duration(const std::string& name, double& value, const std::string& help) const {
  return Option(app_->add_option(name, value, wrapped(help))->transform(seconds()));
}

Option Command::shard(const std::string& name, std::optional<Shard>& value,
                      const std::string& help) const {
  const auto set = [&value](const std::string& text) { value = Shard::parse(text); };
  return Option(app_->add_option_function<std::string>(name, set, wrapped(help))->check(shards()));
}

Option Command::word(const std::string& name, const std::function<void(const std::string&)>& set,
                     const std::vector<std::string>& words, const std::string& help) const {
  return Option(
      app_->add_option_function<std::string>(name, set, wrapped(help))->check(one_of(words)));
}

}  // namespace hrm

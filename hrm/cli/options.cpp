#include "hrm/cli/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include "hrm/config.h"
#include "hrm/support/text.h"

namespace hrm {
namespace {

template <class T>
bool parse_number(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && rest == end;
}

template <class T>
std::string text_of(T value) {
  std::ostringstream text;
  text.precision(15);
  text << value;
  return text.str();
}

// " in 1..9", or " of at least 1" where there is no upper limit.
template <class T>
std::string range_text(T low, T high) {
  if (high == std::numeric_limits<T>::max()) return " of at least " + text_of(low);
  return " in " + text_of(low) + ".." + text_of(high);
}

template <class T>
CLI::Validator in_range(const std::string& what, const std::string& shown, T low, T high) {
  const auto check = [=](std::string& text) {
    T value{};
    const bool fits = parse_number(text, value) && value >= low && value <= high;
    return fits ? "" : "must be " + what + range_text(low, high) + ", got '" + text + "'";
  };
  return CLI::Validator(check, shown);
}

const CLI::App& last_command(const CLI::App& app, std::string& name) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().back();
    name += (name.empty() ? "" : " ") + at->get_name();
  }
  return *at;
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty()) names.push_back(command->get_name());  // not hidden ones
  return names;
}

std::vector<std::string> options_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// The line for a word that no option or command takes; `left`: all such words, in order.
std::string explain_word(const CLI::App& at, const std::vector<std::string>& left,
                         const std::string& help) {
  const auto dashed = std::find_if(
      left.begin(), left.end(), [](const auto& word) { return word.size() > 1 && word[0] == '-'; });
  const bool option = dashed != left.end();
  std::string word = option ? *dashed : left.front();
  if (option) word = word.substr(0, word.find('='));
  const std::vector<std::string> commands = commands_of(at);
  const std::string kind = option ? "option " : commands.empty() ? "argument " : "command ";
  const std::string close = nearest(word, option ? options_of(at) : commands);
  const std::string hint = close.empty() ? help : "did you mean " + close + "?";
  if (!option && commands.empty()) return "takes no further argument '" + word + "'. HINT: " + hint;
  return "there is no " + kind + word + ". HINT: " + hint;
}

}  // namespace

std::string alternatives(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 < words.size() ? ", " : " or ") + words[i];
  return text;
}

CLI::Validator whole_number(int64_t low, int64_t high) {
  const bool open = high == std::numeric_limits<int64_t>::max();
  const std::string shown = text_of(low) + ".." + (open ? "" : text_of(high));
  return in_range<int64_t>("a whole number", shown, low, high);
}

CLI::Validator number_from(double low, double high) {
  const bool open = high == std::numeric_limits<double>::max();
  const std::string shown = text_of(low) + ".." + (open ? "" : text_of(high));
  return in_range<double>("a number", shown, low, high);
}

CLI::Validator finite_number() {
  const auto check = [](std::string& text) {
    double value = 0;
    const bool fits = parse_number(text, value) && std::isfinite(value);
    return fits ? "" : "must be a number, got '" + text + "'";
  };
  return CLI::Validator(check, "");
}

CLI::Validator duration() {
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

void refuse_empty_names(CLI::App& app) {
  const auto check = [](std::string& text) {
    return text.empty() ? std::string("must be given, got ''") : std::string();
  };
  const std::vector<std::string> names = {
      "--run",    "--data",   "--out",        "--from",      "--init",        "--config", "--csv",
      "--puzzle", "--preset", "--checkpoint", "--test-from", "--tensorboard", "--arc"};
  for (CLI::Option* option : app.get_options())
    if (option->get_positional() || std::ranges::find(names, option->get_name()) != names.end())
      option->check(CLI::Validator(check, ""));
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; }))
    refuse_empty_names(*command);
}

std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  std::string name;
  const CLI::App& at = last_command(app, name);
  const std::string help = "hrm " + name + (name.empty() ? "" : " ") + "--help";
  const std::string where = "[" + (name.empty() ? "hrm" : name) + "] ";
  const std::vector<std::string> left = at.remaining();
  const bool group = !commands_of(at).empty();
  const bool required = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  const bool extras = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  const bool help_asked = dynamic_cast<const CLI::Success*>(&error) != nullptr;
  // A misspelt option is the cause, the option that is missing for it the symptom.
  if (!left.empty() && (required || extras || (help_asked && group)))
    return where + explain_word(at, left, help);
  if (help_asked) return "";
  if (required && group)
    return where + "needs a command: " + alternatives(commands_of(at)) + ". HINT: " + help;
  std::string what = error.what();
  // "--run: 1 required TEXT missing", "--seed: At Most 1 required but received 2"
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
    const std::string option = what.substr(0, what.find(':'));
    if (what.ends_with(" missing")) what = option + " needs a value";
    if (what.find("At Most 1 required") != std::string::npos) what = option + " may be given once";
  }
  // "--seed: must be ..." is a sentence without its colon.
  if (const size_t colon = what.find(": must be "); colon != std::string::npos)
    what.erase(colon, 1);
  return where + what + (what.find("HINT: ") == std::string::npos ? ". HINT: " + help : "");
}

}  // namespace hrm

#include "hrm/cli/program.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "hrm/support/text.h"

namespace hrm {
namespace {

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

// One line for a command line that could not be read: "[eval] there is no option --segment. HINT:
// did you mean --segments?"
// For a request for help it is empty, unless a word before --help names no command.
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

// For a command and those below it: what names a file, a folder or a preset, and what stands
// without an option, must not be empty, as it is when a script's variable is.
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

}  // namespace

Program::Program(const std::string& title, const std::string& version, const std::string& footer)
    : version_(version), app_(std::make_unique<CLI::App>(title, "hrm")) {
  app_->set_version_flag("--version", version);
  app_->footer(footer);
  app_->get_formatter()->column_width(kHelpColumn);
}

Program::~Program() = default;

Command Program::root() const { return Command(app_.get()); }

void Program::run(const std::vector<std::string>& words) {
  refuse_empty_names(*app_);
  try {
    app_->parse(
        std::vector<std::string>(words.rbegin(), words.rend()));  // CLI11 wants the last first
  } catch (const CLI::ParseError& error) {
    const std::string message = explain(*app_, error);
    if (!message.empty()) throw UsageError(message);
    app_->exit(error);  // prints the help or the version
  }
}

}  // namespace hrm

// What is written from the program's own commands: the script that completes words in bash, and the
// manual page.
#include <algorithm>
#include <sstream>

#include <CLI/CLI.hpp>

#include "hrm/cli/program.h"
#include "hrm/support/text.h"

namespace hrm {
namespace {

using Values = std::map<std::string, std::vector<std::string>>;

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands(
      [](const CLI::App* command) { return !command->get_group().empty(); });  // not hidden ones
}

// Calls visit(words, command) for the program ("") and all its commands ("arc predict").
template <class Visit>
void visit_commands(const CLI::App& app, const std::string& words, const Visit& visit) {
  visit(words, app);
  for (const CLI::App* command : commands_of(app))
    visit_commands(*command, (words.empty() ? "" : words + " ") + command->get_name(), visit);
}

// "a b" of the type "TEXT:a|b", as the help shows it; empty if any value may be given.
std::vector<std::string> values_of(const CLI::Option& option) {
  std::vector<std::string> values;
  const std::string type = option.get_type_name();
  const size_t colon = type.find(':');
  if (colon == std::string::npos || type.find('|') == std::string::npos) return values;
  std::istringstream words(type.substr(colon + 1));
  for (std::string word; std::getline(words, word, '|');) values.push_back(word);
  return values;
}

std::string option_words(const CLI::App& command) {
  std::string words;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) words += " --" + name;
  return words.empty() ? words : words.substr(1);
}

std::string command_words(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* below : commands_of(command)) names.push_back(below->get_name());
  return join(names, " ");
}

// Text as roff takes it: a hyphen is one that can be searched for, and no line is a request.
std::string roff(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
    line_start = c == '\n';
  }
  return out;
}

// Lines as they are, and without filling where they are indented.
std::string roff_paragraphs(const std::string& text) {
  std::string out;
  bool as_is = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool indented = line.starts_with("  ");
    if (indented != as_is) out += indented ? ".nf\n" : ".fi\n";
    as_is = indented;
    out += line.empty() ? ".PP\n" : roff(line) + (indented ? "\n" : "\n.br\n");
  }
  return as_is ? out + ".fi\n" : out;
}

std::string roff_option(const CLI::Option& option) {
  std::string text = ".TP\n\\fB" + roff(option.get_name(option.get_positional())) + "\\fR";
  if (!option.get_type_name().empty()) text += " \\fI" + roff(option.get_type_name()) + "\\fR";
  if (option.get_required()) text += " (required)";
  return text + "\n" + roff(option.get_description()) + "\n";
}

std::string roff_command(const CLI::App& program, const std::string& words,
                         const CLI::App& command) {
  std::string text = ".SS hrm " + roff(words) + "\n" + roff(command.get_description()) + "\n";
  for (const CLI::Option* option : command.get_options())
    if (option != command.get_help_ptr()) text += roff_option(*option);
  const std::string footer = command.get_footer();
  if (!footer.empty() && footer != program.get_footer()) text += ".PP\n" + roff_paragraphs(footer);
  return text;
}

}  // namespace

std::string Program::bash_completion(const Values& values) const {
  std::string all, choices, options, commands;
  // Bash takes an = for a word of its own.
  const std::string equals_sign =
      "  if [[ $word == '=' ]]; then word=''\n"
      "  elif [[ $before == '=' ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi\n";
  visit_commands(*app_, "", [&](const std::string& words, const CLI::App& command) {
    if (!words.empty()) all += (all.empty() ? "'" : " | '") + words + "'";
    const std::string below = command_words(command) + (words.empty() ? " help" : "");
    if (!below.empty()) commands += "      '" + words + "') words='" + below + "' ;;\n";
    options += "      '" + words + "') words='" + option_words(command) + "' ;;\n";
    for (const CLI::Option* option : command.get_options()) {
      const auto known = values.find(option->get_name());
      std::vector<std::string> list = values_of(*option);
      if (list.empty() && known != values.end()) list = known->second;
      if (!list.empty())
        choices +=
            "    '" + words + " " + option->get_name() + "') words='" + join(list, " ") + "' ;;\n";
    }
  });
  return "# Completes the words of a command line of hrm in bash. Use: eval \"$(hrm completion)\"\n"
         "_hrm() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "  local command='' words='' longer i\n" +
         equals_sign +
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    longer=${command:+$command }${COMP_WORDS[i]}\n"
         "    case $longer in\n"
         "      " +
         all +
         ") command=$longer ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$command $before\" in\n" +
         choices +
         "  esac\n"
         "  if [[ $word == -* ]]; then\n"
         "    case $command in\n" +
         options +
         "    esac\n"
         "  elif [[ -z $words ]]; then\n"
         "    case $command in\n" +
         commands +
         "    esac\n"
         "  fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "}\n"
         "complete -o default -F _hrm hrm\n";
}

std::string Program::manual_page() const {
  const std::string title = app_->get_description();
  const size_t colon = title.find(": "), line = title.find('\n');
  std::string text = ".TH HRM 1 \"\" \"" + roff(version_) + "\" \"User Commands\"\n.SH NAME\n" +
                     roff(title.substr(0, colon)) + " \\- " +
                     roff(title.substr(colon + 2, line - colon - 2)) +
                     "\n.SH SYNOPSIS\n.B hrm\n.I COMMAND\n.RI [ OPTION ]...\n.SH DESCRIPTION\n" +
                     roff_paragraphs(title.substr(line + 2)) + ".PP\n" +
                     roff_paragraphs(app_->get_footer()) + ".SH COMMANDS\n";
  visit_commands(*app_, "", [&](const std::string& words, const CLI::App& command) {
    if (!words.empty()) text += roff_command(*app_, words, command);
  });
  return text +
         ".SH ENVIRONMENT\n"
         ".TP\n\\fBOMP_NUM_THREADS\\fR\n"
         "How many threads a command uses (by default one for each core). "
         "The results do not depend on it.\n"
         ".TP\n\\fBHRM_ISA\\fR\n"
         "The instruction set that the kernels use, instead of the best that the processor has. "
         "\\fBhrm info\\fR names those that are there.\n";
}

}  // namespace hrm

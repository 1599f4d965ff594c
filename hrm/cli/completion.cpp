// Scripts with which shells complete the words of a command line, written from the program's own
// commands.
#include <sstream>

#include "hrm/cli/command_tree.h"
#include "hrm/cli/program.h"
#include "hrm/support/text.h"

namespace hrm {
namespace {

using Values = std::map<std::string, std::vector<std::string>>;

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

// What may stand in a command line: the commands ("data sudoku"), what goes on from each of them,
// and the values of options that take one of a list.
struct Words {
  struct Command {
    std::string name;     // "" is the program itself
    std::string below;    // names of its commands
    std::string options;  // "--count --out"
  };
  struct Choice {
    std::string command, option, values;
  };
  std::vector<Command> commands;
  std::vector<Choice> choices;

  Words(const CLI::App& app, const Values& values) {
    visit_commands(app, "", [&](const std::string& name, const CLI::App& command) {
      commands.push_back(
          {name, command_words(command) + (name.empty() ? " help" : ""), option_words(command)});
      for (const CLI::Option* option : command.get_options()) {
        const auto known = values.find(option->get_name());
        std::vector<std::string> list = values_of(*option);
        if (list.empty() && known != values.end()) list = known->second;
        if (!list.empty()) choices.push_back({name, option->get_name(), join(list, " ")});
      }
    });
  }

  // The patterns of all commands, for a case: 'data' | 'data sudoku'.
  std::string patterns() const {
    std::string all;
    for (const Command& command : commands)
      if (!command.name.empty()) all += (all.empty() ? "'" : " | '") + command.name + "'";
    return all;
  }
};

// What bash and zsh share, from within the loop over the words of the line on: finds the command
// (in `longer` there is the one so far with one more word), and puts what may come next into
// `list`, given the variables `before` and `word`.
std::string posix_tables(const Words& words) {
  std::string choices, options, below;
  for (const Words::Choice& c : words.choices)
    choices += "    '" + c.command + " " + c.option + "') list='" + c.values + "' ;;\n";
  for (const Words::Command& c : words.commands) {
    options += "      '" + c.name + "') list='" + c.options + "' ;;\n";
    if (!c.below.empty()) below += "      '" + c.name + "') list='" + c.below + "' ;;\n";
  }
  return "    case $longer in\n"
         "      " +
         words.patterns() +
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
         "  elif [[ -z $list ]]; then\n"
         "    case $command in\n" +
         below +
         "    esac\n"
         "  fi\n";
}

std::string bash_script(const Words& words) {
  return "# Completes the words of a command line of hrm in bash. Use: eval \"$(hrm completion)\"\n"
         "_hrm() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "  local command='' list='' longer i\n"
         // Bash takes an = for a word of its own.
         "  if [[ $word == '=' ]]; then word=''\n"
         "  elif [[ $before == '=' ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    longer=${command:+$command }${COMP_WORDS[i]}\n" +
         posix_tables(words) +
         "  COMPREPLY=($(compgen -W \"$list\" -- \"$word\"))\n"
         "}\n"
         "complete -o default -F _hrm hrm\n";
}

// The function is called _hrm, as zsh expects of a file of that name in its $fpath.
std::string zsh_script(const Words& words) {
  return "#compdef hrm\n"
         "# Completes the words of a command line of hrm in zsh. Use: eval \"$(hrm completion "
         "zsh)\"\n"
         "_hrm() {\n"
         "  local word=$PREFIX before=${words[CURRENT - 1]}\n"
         "  local command='' list='' longer i\n"
         "  for ((i = 2; i < CURRENT; ++i)); do\n"
         "    longer=${command:+$command }${words[i]}\n" +
         posix_tables(words) +
         "  if [[ -n $list ]]; then compadd -- ${=list}; else _files; fi\n"
         "}\n"
         "if [[ $funcstack[1] == _hrm ]]; then _hrm; else compdef _hrm hrm; fi\n";
}

std::string fish_script(const Words& words) {
  std::string names, lines;
  for (const Words::Command& command : words.commands) {
    const std::string at = "complete -c hrm -n '__hrm_at " + command.name + "' ";
    if (!command.name.empty()) names += " '" + command.name + "'";
    if (!command.below.empty()) lines += at + "-f -a '" + command.below + "'\n";
    std::istringstream options(command.options);
    for (std::string option; options >> option;) {
      std::string values;
      for (const Words::Choice& choice : words.choices)
        if (choice.command == command.name && choice.option == option)
          values = " -x -a '" + choice.values + "'";
      lines += at + "-l " + option.substr(2) + values + "\n";
    }
  }
  return "# Completes the words of a command line of hrm in fish. Use: hrm completion fish | "
         "source\n"
         "function __hrm_at\n"
         "  set -l words (commandline -opc)\n"
         "  set -l at ''\n"
         "  for word in $words[2..]\n"
         "    set -l longer (string trim -- \"$at $word\")\n"
         "    contains -- \"$longer\"" +
         names +
         "; and set at $longer\n"
         "  end\n"
         "  test \"$at\" = \"$argv\"\n"
         "end\n" +
         lines;
}

}  // namespace

std::string Program::completion(const std::string& shell, const Values& values) const {
  const Words words(*app_, values);
  if (shell == "zsh") return zsh_script(words);
  return shell == "fish" ? fish_script(words) : bash_script(words);
}

}  // namespace hrm

// The commands of a program, for those who write about all of them.
//
//     visit_commands(app, "", [](const std::string& words, const CLI::App& command) { ... });
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace hrm {

inline std::vector<const CLI::App*> commands_of(const CLI::App& app) {
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

}  // namespace hrm

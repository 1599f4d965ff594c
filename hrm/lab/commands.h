// The subcommands of `hrm lab`.
#pragma once

#include "hrm/cli/commands.h"

namespace hrm {

void add_experiment_commands(CLI::App& lab);  // figure, run, list
void add_gradients_command(CLI::App& lab);    // gradients

// An experiment of the project by its name, with the defaults of `hrm lab figure`.
void run_figure(const std::string& name);

}  // namespace hrm

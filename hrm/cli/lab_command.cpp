// hrm lab: experiments.
#include "hrm/cli/commands.h"

namespace hrm {

void add_lab_command(CLI::App& app) {
  CLI::App* lab =
      app.add_subcommand("lab", "Experiments: ablations as presets, gradient rules side by side");
  lab->require_subcommand(1);
  add_experiment_commands(*lab);
  add_gradients_command(*lab);
}

}  // namespace hrm

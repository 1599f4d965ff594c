// hrm lab: experiments.
#include "hrm/cli/commands.h"

namespace hrm {

void add_lab_command(Command app) {
  const Command lab =
      app.command("lab", "Experiments: ablations side by side, and gradient rules compared.");
  add_experiment_commands(lab);
  add_gradients_command(lab);
}

}  // namespace hrm

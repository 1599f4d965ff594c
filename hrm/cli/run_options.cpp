#include "hrm/cli/run_options.h"

namespace hrm {

void RunOptions::add(Command command) {
  command.text("--run", run, "The run folder of the model, or a file that `hrm export` wrote.")
      .required();
  command.text("--checkpoint", checkpoint, kCheckpointHelp);
  command.flag("--json", json, kJsonHelp);
}

Option RunOptions::add_halting(Command command) {
  command.section("Segments and halting");
  command.whole_number("--segments", options.segments, 1, 100000, kSegmentsHelp);
  const Option halt = command.flag("--halt", options.halting, kHaltHelp);
  command
      .finite_number("--halt-threshold", options.threshold,
                     "Stop when the logit q_halt exceeds q_continue by more than this (default 0; "
                     "halt-only models compare q_halt with it; other rules of halting, how far "
                     "above their own threshold).")
      .needs(halt);
  return halt;
}

}  // namespace hrm

#include "hrm/cli/run_options.h"

namespace hrm {

CLI::Option* RunOptions::add(CLI::App& command) {
  command.add_option("--run", run, "run folder")->required();
  command.add_option("--checkpoint", checkpoint, "best (default), last, or a checkpoint folder");
  command
      .add_option("--segments", options.segments,
                  "most segments per puzzle (default: as trained; more or fewer are fine)")
      ->check(whole_number(1, 100000));
  CLI::Option* halt =
      command.add_flag("--halt", options.halting, "stop a puzzle when the q head says so");
  command
      .add_option("--halt-threshold", options.threshold,
                  "how far q_halt must exceed q_continue (halt-only models: 0) to stop")
      ->check(finite_number())
      ->needs(halt);
  command.add_flag("--json", json, "print JSON");
  common.add(command);
  return halt;
}

}  // namespace hrm

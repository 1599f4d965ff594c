// What `hrm eval` and `hrm solve` are told about the run whose model they use.
#pragma once

#include "hrm/cli/commands.h"

namespace hrm {

struct RunOptions {
  std::string run, checkpoint;
  EvalOptions options;
  bool json = false;
  CommonOptions common;

  // --run, --checkpoint, --json.
  void add(Command command);
  // Those of segments and halting. Returns --halt, which other options need.
  Option add_halting(Command command);
};

}  // namespace hrm

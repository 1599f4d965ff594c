// A model for one ARC task: trained on it alone for a time, then asked. `hrm adapt` and `hrm arc
// farm` do this.
#pragma once

#include <string>
#include <vector>

#include "hrm/cli/commands.h"
#include "hrm/tasks/arc_vote.h"

namespace hrm {

struct FitSettings {
  double budget = 60;      // seconds of training
  int64_t variants = 100;  // for training, and of them
  int64_t pool = 100;      // that vote
  std::string kinds = "all";
  bool network = true;                 // whether the weights are trained, too
  std::vector<std::string> overrides;  // of the configuration
};

void add_fit_options(Command command, FitSettings& fit);

// Side of the canvas of an ARC model.
int canvas_of(const ModelConfig& model);
// What a task's folder is called: its name, where that is a plain word. Names come from files, and
// a path among them must not lead anywhere.
std::string task_folder_name(const std::string& task);
// Trains on one task for the budget, from `start` if there is one, and votes on its tests. The
// folder `run` must not hold a run. Where a signal has asked for the end, nothing of it is kept.
TaskOutcome fit_task(const ArcTask& task, Config config, LoadedRun* start, const FitSettings& fit,
                     const Path& run, bool progress);

}  // namespace hrm

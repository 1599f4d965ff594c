// Runs the commands of an experiment, each model in a process of its own, and collects what they
// found.
//
//     RunOptions options;
//     options.root = "experiments";
//     options.program = "build/cpu/hrm";
//     const std::vector<Record> records = run_experiment(experiment, options);
#pragma once

#include "hrm/lab/records.h"

namespace hrm::lab {

struct RunOptions {
  Path root;        // ROOT/data and ROOT/models are shared by all experiments, ROOT/NAME is its own
  Path program;     // hrm itself
  int jobs = 0;     // models at a time; 0: one a core
  int threads = 1;  // of each
  Words more;       // for every training command, such as --device cuda
};

// Makes the data sets and trains and judges the models that ROOT/NAME/results.jsonl does not hold
// yet; a line goes in as each is done. Returns the records of all trials, in order; fewer if a
// signal (StopSignals) has asked to stop. An Error holds what a command said when it failed; what
// was done stays. The caller holds ROOT/NAME (FolderLock); data sets and models are held in here,
// one at a time, because other experiments use them, too.
std::vector<Record> run_experiment(const Experiment& experiment, const RunOptions& options);

}  // namespace hrm::lab

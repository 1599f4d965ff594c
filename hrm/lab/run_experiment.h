// Runs the commands of an experiment, each model in a process of its own, and collects what they
// found.
//
//     RunOptions options;
//     options.root = "experiments";
//     options.program = "build/cpu/hrm";
//     const Findings found = run_experiment(experiment, options);
//     const std::vector<Row> rows = summarize(found.records);   // hrm/lab/experiment_page.h
#pragma once

#include "hrm/lab/records.h"
#include "hrm/support/shard.h"

namespace hrm::lab {

struct RunOptions {
  Path root;        // ROOT/data and ROOT/models are shared by all experiments, ROOT/NAME is its own
  Path program;     // hrm itself
  int jobs = 0;     // models at a time; 0: one a core
  int threads = 1;  // of each
  Words more;       // for every training command, such as --device cuda
  Shard shard;      // which of the models; the others are left to other processes
};

struct Findings {
  std::vector<Record> records;  // of the trials that are done, in order, whoever did them
  int64_t open = 0;             // trials that are not
};

// Makes the data sets and trains and judges the models of the shard that no file of results in
// ROOT/NAME (results_of_all) holds yet; a line goes into the shard's own as each is done. Trials
// are open then if they belong to another shard, or if a signal (StopSignals) has asked to stop. An
// Error holds what a command said when it failed; what was done stays. The caller holds the shard's
// lock of ROOT/NAME; data sets and models are held in here, one at a time, because other shards and
// other experiments use them, too.
Findings run_experiment(const Experiment& experiment, const RunOptions& options);

}  // namespace hrm::lab

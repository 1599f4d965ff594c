// Making ARC data sets from task files.
//
//     ArcBuild build;
//     build.from = {"ARC-AGI/data"};
//     const ArcSummary summary = build_arc(build, "data/arc");
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hrm/support/progress.h"
#include "hrm/tasks/arc_dataset.h"

namespace hrm {

struct ArcBuild {
  std::vector<Path> from;
  bool official = false;         // arrays of every variant
  bool only_evaluation = false;  // leave out tasks that are not evaluated
  std::vector<std::string> only_tasks, without;
  ArcData options;  // all but the tasks
  bool replace = false;
  ProgressCallback on_progress;
};
struct ArcSummary {
  int64_t training = 0, evaluated = 0;  // tasks
  int64_t repeated = 0;                 // left out: their name stands in another set, too
  int64_t too_large = 0;                // left out: they do not fit the canvas
  int64_t variants = 0, short_of = 0;   // of all tasks; tasks with fewer variants than wanted
  int64_t train_examples = 0, test_examples = 0;
  int side = 0;
};
ArcSummary build_arc(const ArcBuild& build, const Path& out);

}  // namespace hrm

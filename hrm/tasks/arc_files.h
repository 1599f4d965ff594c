// Files and folders of ARC tasks.
//
//     int64_t repeated = 0;
//     const std::vector<ArcTask> tasks = load_arc({"ARC-AGI/data"}, &repeated);
#pragma once

#include <vector>

#include "hrm/tasks/arc.h"

namespace hrm {

// Tasks of folders and files: a file per task, or Kaggle's combined *_challenges.json with the
// *_solutions.json beside it. Folders are searched to any depth; tasks in a folder "evaluation" (or
// a combined file of that or of "test" in its name) are evaluated. Within one entry of `from` a
// name may occur once. Between entries evaluation goes before training, then the first entry;
// `*repeated` counts the tasks so left out.
std::vector<ArcTask> load_arc(const std::vector<Path>& from, int64_t* repeated);
// The same without leaving any out.
std::vector<ArcTask> load_all_arc(const std::vector<Path>& from);

}  // namespace hrm

// Random ARC tasks, and folders of them.
#pragma once

#include <string>

#include "hrm/tasks/arc_data.h"
#include "tensor/random.h"

namespace hrm::test {

// A grid of random colours with at most `most` rows and columns.
ArcGrid random_arc_grid(Random& random, int most = 6);

// A task of three demonstrations and two tests.
ArcTask random_arc_task(const std::string& id, bool evaluated, Random& random);

// The tasks aaaa, bbbb and cccc, of which the last two are evaluated.
ArcData small_arc_data(int64_t variants = 5, int canvas = 0);

// A task as ARC's own JSON files hold it.
std::string arc_task_text(const ArcTask& task);

// Writes each task to a file of its own in a folder named after its set.
void write_arc_tasks(const Path& root, const ArcData& data);

}  // namespace hrm::test

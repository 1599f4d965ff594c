// Data sets of generated puzzles, for every kind that has a generator (registry.h).
//
//     GeneratedBuild build;
//     build.count = 5000;
//     for (const TaskKind& kind : task_kinds())
//       if (kind.generator) build_generated(*kind.generator, build, Path("data") / kind.name);
#pragma once

#include "hrm/data/dataset_writer.h"
#include "hrm/support/progress.h"
#include "hrm/tasks/registry.h"

namespace hrm {

struct GeneratedBuild {
  int side = 0;  // 0: the generator's default
  int64_t count = 5000;
  int64_t test_count = 500;  // of them, in whole symmetry classes
  uint64_t seed = 0;
  bool replace = false;
  ProgressCallback on_progress;
};

// Draws different puzzles; symmetric ones are one class and stay on one side of the split. An Error
// if the kind has not so many.
BuildSummary build_generated(const Generator& generator, const GeneratedBuild& build,
                             const Path& out);

}  // namespace hrm

// What a finished training left behind.
#pragma once

#include "tests/torture/files.h"

namespace hrm::torture {

// Everything that may not depend on whether the training was interrupted, by name: bytes of final
// weights, moments and best weights; evaluation.json, state.json and metrics.jsonl without times;
// how many lines of metrics.jsonl stand there twice. A file that is not there has the value
// "missing".
using Outcome = std::map<std::string, std::string>;
Outcome outcome_of(const Path& run, int64_t steps);

// The names whose values differ, or "".
std::string difference(const Outcome& expected, const Outcome& got);

// RUN/checkpoints/step_00000030
Path checkpoint_of(const Path& run, int64_t step);
// The finished checkpoints of a run, oldest first.
std::vector<Path> checkpoints_of(const Path& run);

}  // namespace hrm::torture

// Whether an evaluation is one: what its tasks share with those trained on.
//
//     const ArcAudit audit = audit_arc(load_all_arc({"ARC-AGI/data"}));
//     for (const ArcAudit::Leak& leak : audit.pairs) show(leak.task, leak.found_in);
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hrm/tasks/arc.h"

namespace hrm {

// What an evaluated task shares with training.
struct ArcAudit {
  struct Leak {
    std::string task;      // evaluated
    int64_t test;          // its test input
    std::string found_in;  // a task whose pairs are trained on
  };
  std::vector<Leak> pairs;    // the test pair, up to augmentation
  std::vector<Leak> tasks;    // a task of this name trained on in another set; test is -1
  int64_t equal_outputs = 0;  // test outputs that are the output of a training pair as they stand
  int64_t checked = 0;        // test pairs
};
// `tasks` as load_all_arc returns them, or those of a data set.
ArcAudit audit_arc(const std::vector<ArcTask>& tasks);

}  // namespace hrm

// The compact form of an ARC data set: one file, FOLDER/arc.json, with the tasks and how variants
// are drawn.
//
//     ArcData data = read_arc_data("data/arc/arc.json");
//     keep_tasks(data.tasks, {"00576224"});   // this task alone
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hrm/tasks/arc.h"

namespace hrm {

inline constexpr int64_t kMostArcVariants = 1'000'000;  // of a task

struct ArcData {
  std::vector<ArcTask> tasks;
  int64_t variants = 1000;  // wanted, besides the task itself
  ArcKinds kinds;
  uint64_t seed = 0;
  int canvas = kArcSide;  // side; 0: the smallest that holds the tasks
};
// Errors name `source`, the task and what is wrong with it.
ArcData parse_arc_data(const Json& json, const std::string& source);
ArcData read_arc_data(const Path& file);
std::string arc_data_text(const ArcData& data);  // what the file holds

// Keeps the tasks of these names; an unknown name is an Error with the nearest one.
void keep_tasks(std::vector<ArcTask>& tasks, const std::vector<std::string>& names);
// What of a task is trained on: its demonstrations, and all of it if it is not evaluated.
std::vector<ArcPair> training_pairs(const ArcTask& task);

}  // namespace hrm

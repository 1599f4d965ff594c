// The presets in the binary: whole configurations under a name.
//
//     Config config = preset("sudoku4");
#pragma once

#include <string>
#include <vector>

#include "hrm/config.h"

namespace hrm {

// An unknown name is an Error with the nearest one.
Config preset(const std::string& name);

struct PresetInfo {
  std::string name, description;
  std::string task;    // the kind of data it was made for, as in task.json; empty: any
  std::string recipe;  // how `hrm data` makes such data, and the folder that examples put it in
  std::string data;
};
const std::vector<PresetInfo>& presets();

}  // namespace hrm

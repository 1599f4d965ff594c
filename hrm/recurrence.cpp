#include "hrm/recurrence.h"

namespace hrm {

std::vector<Level> update_list(const ModelConfig& config) {
  if (config.levels == Levels::single) return {Level::H};
  std::vector<Level> updates;
  for (int64_t h = 0; h < config.H_cycles; ++h) {
    updates.insert(updates.end(), config.L_cycles, Level::L);
    updates.push_back(Level::H);
  }
  return updates;
}

}  // namespace hrm

#include "hrm/tasks/arc_grids.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "hrm/tasks/arc.h"
#include "kernels/loss.h"

namespace hrm {

std::shared_ptr<const Task> ArcGrids::make(const Members& json) {
  return std::make_shared<ArcGrids>(static_cast<int>(json.integer("side", 1, kArcSide)));
}

Json ArcGrids::to_json() const { return {{"task", kind()}, {"side", side_}}; }

bool ArcGrids::fits(int64_t seq_len, int64_t vocab_size) const {
  return seq_len == side_ * side_ && vocab_size == kArcVocab;
}

Augmentation ArcGrids::augmentation() const {
  if (!moves_) return nullptr;
  return [side = side_](int32_t* inputs, int32_t* labels, bool first, Random& random) {
    // Drawn for every example, so that the stream does not depend on which is first.
    const uint64_t down = random.bits(), right = random.bits();
    if (first) return;
    int height = 0, width = 0;
    for (int i = 0; i < side * side; ++i) {
      if (inputs[i] < 2 && labels[i] < 2) continue;
      height = std::max(height, i / side + 1);
      width = std::max(width, i % side + 1);
    }
    const int row = static_cast<int>(down % (side - height + 1));
    const int col = static_cast<int>(right % (side - width + 1));
    // A grid that ended at the edge of the canvas has no EOS there, one that is moved away has.
    const auto move = [&](int32_t* tokens, int32_t pad) {
      const ArcGrid grid = crop(tokens, side);
      encode_grid(grid, side, row, col, tokens);
      std::replace(tokens, tokens + side * side, 0, pad);
    };
    move(inputs, 0);
    move(labels, kIgnoreLabel);
  };
}

CellLook ArcGrids::look(int32_t token) const {
  if (token < 2 || token >= kArcVocab) return {};
  return {"", arc_colour(token - 2)};
}

std::vector<ColourName> ArcGrids::legend() const {
  std::vector<ColourName> names;
  for (int colour = 0; colour < 10; ++colour)
    names.push_back({arc_colour(colour), std::to_string(colour)});
  return names;
}

const char* arc_colour(int colour) {
  static constexpr const char* kColours[10] = {"#000000", "#0074D9", "#FF4136", "#2ECC40",
                                               "#FFDC00", "#AAAAAA", "#F012BE", "#FF851B",
                                               "#7FDBFF", "#870C25"};
  return kColours[colour];
}

}  // namespace hrm

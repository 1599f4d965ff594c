// Grids of colours as a kind of puzzle: what an example of an ARC data set is. Tasks, variants and
// voting are ARC's own (arc.h, arc_dataset.h, arc_vote.h).
//
//     const ArcGrids task(30);
//     const CellLook blue = task.look(3);   // colour c is token c + 2
#pragma once

#include "hrm/data/task.h"

namespace hrm {

class ArcGrids : public Task {
 public:
  // `side` of the canvas; `moves`: training places each pair anywhere on it.
  explicit ArcGrids(int side, bool moves = false) : side_(side), moves_(moves) {}
  static std::shared_ptr<const Task> make(const Members& json);

  std::string kind() const override { return "arc"; }
  Json to_json() const override;
  int64_t cells() const override { return side_ * side_; }
  bool fits(int64_t seq_len, int64_t vocab_size) const override;
  // Moves pairs to a random place of the canvas, all but the first drawn of each variant (official
  // rule).
  Augmentation augmentation() const override;
  Drawing drawing() const override { return Drawing::colours; }
  CellLook look(int32_t token) const override;
  std::vector<ColourName> legend() const override;
  bool marks_wrong_cells() const override { return false; }

 private:
  int side_;
  bool moves_;
};

// ARC's usual colours, "#0074D9".
const char* arc_colour(int colour);

}  // namespace hrm

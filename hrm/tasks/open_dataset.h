// Opens a data set of any form and kind.
//
//     const PuzzleDataset train = open_dataset("data/sudoku4", "train");
//     const PuzzleDataset test = open_dataset("data/sudoku4", "test", {}, &train);
#pragma once

#include "hrm/data/puzzle_dataset.h"

namespace hrm {

// FOLDER/SPLIT, in the official layout or ARC's compact form; what the tokens mean is in
// FOLDER/task.json (ours; absent for foreign data sets). All of it is checked: an Error names the
// file. `other`: the other split, if it is at hand, under the same view (`pool` may differ); what
// both share is not made twice.
PuzzleDataset open_dataset(const Path& folder, const std::string& split, const DataView& view = {},
                           const PuzzleDataset* other = nullptr);

}  // namespace hrm

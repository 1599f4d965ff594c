// An ARC task as CompressARC sees it: all grids of the task on one canvas, colours numbered, and
// what can be said about the size of the answers. (Liao & Gu 2025, "ARC-AGI Without Pretraining".)
//
//     const CodedTask task = code_task(arc_task);
//     task.size(3, kOutput).height;   // of the fourth example's output
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "hrm/tasks/arc.h"

namespace hrm::compressarc {

enum Side { kInput = 0, kOutput = 1 };

struct GridSize {
  int height = 0, width = 0;
  auto operator<=>(const GridSize&) const = default;
};

// Examples are the demonstrations of the task and then its tests, whose outputs are never looked
// at: their sizes are predicted, and their cells are 0.
struct CodedTask {
  std::string id;
  int64_t demonstrations = 0, tests = 0;
  // The real colour of each code. Code 0 is black; the others occur in a grid that is known.
  std::vector<uint8_t> colours;
  bool outputs_like_inputs = false;  // every demonstration's output has the size of its input
  bool one_input_size = false;       // of all examples
  bool one_output_size = false;      // of all demonstrations
  int64_t rows = 0, cols = 0;        // of the canvas, whose first row and column grids begin at
  std::vector<std::array<GridSize, 2>> sizes;
  std::vector<uint8_t> codes;  // [examples, rows, cols, 2]; 0 outside of a grid

  int64_t examples() const { return demonstrations + tests; }
  int64_t other_colours() const { return std::ssize(colours) - 1; }  // than black
  const GridSize& size(int64_t example, Side side) const { return sizes[example][side]; }
  uint8_t code(int64_t example, int64_t row, int64_t col, Side side) const {
    return codes[((example * rows + row) * cols + col) * 2 + side];
  }
  bool known(int64_t example, Side side) const {
    return side == kInput || example < demonstrations;
  }
  // Whether the sizes of this side's grids follow from the others'.
  bool size_is_sure(Side side) const {
    return outputs_like_inputs || (side == kInput ? one_input_size : one_output_size);
  }
  // Whether the size that an answer has is the predicted one, and not to be found.
  bool answer_size_is_sure() const { return size_is_sure(kOutput); }
};

// An Error if the task has no demonstration, no test, or no colour but black.
CodedTask code_task(const ArcTask& task);

}  // namespace hrm::compressarc

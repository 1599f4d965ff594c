// Sudoku grids in the terminal.
#pragma once

#include <string>

#include "hrm/eval/eval_result.h"
#include "hrm/tasks/sudoku.h"

namespace hrm {

// The segments of a trace side by side, as many as fit into `width` characters, then below:
// givens bold, right cells green, wrong ones red (without colour: wrong cells in [brackets]), and
// q_halt under each. Without labels no cell counts as wrong.
std::string render_trace(const PuzzleTrace& trace, const SudokuRules& rules, bool colour,
                         int width = 100);

}  // namespace hrm

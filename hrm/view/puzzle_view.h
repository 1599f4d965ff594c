// Puzzles of any kind in the terminal and on a page.
//
//     std::printf("%s", trace_text(trace, dataset.task(), use_colour(stdout)).c_str());
#pragma once

#include <string>

#include "hrm/data/examples.h"
#include "hrm/eval/eval_result.h"

namespace hrm {

// The segments of a trace. A kind that is drawn in cells: grids side by side, as many as fit into
// `width` characters, then below: givens bold, right cells green, wrong ones red (without colour:
// wrong cells in [brackets]), and under each how much the model wants to halt and, where it learns
// that by itself, to go on. A given that was overwritten is wrong. Without labels no other cell
// counts as wrong. Other kinds: one below the other.
inline constexpr int kTraceWidth = 100;
std::string trace_text(const PuzzleTrace& trace, const Task& task, bool colour,
                       int width = kTraceWidth);

// An example of a data set: the puzzle and its answer.
std::string example_text(const Example& example, const Task& task, bool colour);

// Whether the answer is the stored one, or another that is right.
bool is_solved(const PuzzleTrace& trace, const Tokens& answer, const Task& task);

// What the colours and marks of grid_svg mean, as HTML.
std::string grid_legend(const Task& task);

// A state of a puzzle as SVG, 30 units a cell: givens bold, right cells green, wrong ones with a
// dot.
std::string grid_svg(const PuzzleTrace& trace, const Tokens& tokens, const Task& task);

}  // namespace hrm

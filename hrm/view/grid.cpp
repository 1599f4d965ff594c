#include "hrm/view/grid.h"

#include <algorithm>

#include "hrm/view/page.h"

namespace hrm {
namespace {

// One grid as lines of equal visible width.
struct Block {
  std::vector<std::string> lines;
  int width = 0;
};

std::string padded(std::string text, int width) {
  text.resize(std::max<size_t>(text.size(), width), ' ');
  return text;
}

// `tokens` drawn with its wrong and given cells marked; `caption` above, `note` below.
Block draw(const std::vector<int>& tokens, const PuzzleTrace& trace, const SudokuRules& rules,
           bool colour, const std::string& caption, const std::string& note) {
  const int n = rules.side;
  Block block;
  block.width = 3 * n + 2 * (n / rules.box_cols - 1);
  block.lines.push_back(padded(caption, block.width));
  for (int r = 0; r < n; ++r) {
    if (r > 0 && r % rules.box_rows == 0) block.lines.push_back(padded("", block.width));
    std::string line;
    for (int c = 0; c < n; ++c) {
      if (c > 0 && c % rules.box_cols == 0) line += "  ";
      const int i = r * n + c, token = tokens[i];
      const bool given = trace.inputs[i] > 1;
      const bool known = !trace.labels.empty() && !given && token > 1;
      const bool wrong = known && token != trace.labels[i];
      const char digit = token > 1 ? static_cast<char>('0' + token - 1) : '.';
      const char* on = !colour ? ""
                       : given ? "\033[1m"
                       : wrong ? "\033[31m"
                       : known ? "\033[32m"
                               : "";
      const char* off = *on ? "\033[0m" : "";
      const bool brackets = wrong && !colour;
      line += brackets ? '[' : ' ';
      line += on + std::string(1, digit) + off;
      line += brackets ? ']' : ' ';
    }
    block.lines.push_back(line);
  }
  block.lines.push_back(padded(note, block.width));
  return block;
}

}  // namespace

std::string render_trace(const PuzzleTrace& trace, const SudokuRules& rules, bool colour,
                         int width) {
  std::vector<Block> blocks = {draw(trace.inputs, trace, rules, colour, " givens", "")};
  for (size_t s = 0; s < trace.predictions.size(); ++s)
    blocks.push_back(draw(trace.predictions[s], trace, rules, colour, format(" seg. %zu", s + 1),
                          format(" halt %.0f%%", 100 * trace.q_halt[s])));
  constexpr int kGap = 3;
  const int per_row = std::max(1, (width + kGap) / (blocks[0].width + kGap));
  std::string text;
  for (size_t first = 0; first < blocks.size(); first += per_row) {
    const size_t last = std::min(blocks.size(), first + per_row);
    for (size_t line = 0; line < blocks[0].lines.size(); ++line) {
      std::string row;
      for (size_t b = first; b < last; ++b)
        row += blocks[b].lines[line] + (b + 1 < last ? std::string(kGap, ' ') : "");
      text += row + "\n";
    }
    if (last < blocks.size()) text += "\n";
  }
  return text;
}

}  // namespace hrm

#include "hrm/view/puzzle_view.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

#include "hrm/support/text.h"
#include "hrm/tasks/arc.h"
#include "hrm/view/page.h"
#include "hrm/view/picture.h"

namespace hrm {
namespace {

// How a cell of a state stands to the answer.
enum class Mark { none, given, right, wrong };

Mark mark_of(const PuzzleTrace& trace, const Tokens& tokens, size_t i, const Task& task) {
  if (task.is_given(trace.inputs[i])) {
    if (tokens[i] == trace.inputs[i]) return Mark::given;
    const bool right = i < trace.labels.size() && tokens[i] == trace.labels[i];
    return right ? Mark::right : Mark::wrong;
  }
  if (i >= trace.labels.size() || trace.labels[i] < 0 || task.is_open(tokens[i])) return Mark::none;
  return tokens[i] == trace.labels[i] ? Mark::right : Mark::wrong;
}

// One grid as lines of equal visible width.
struct Block {
  std::vector<std::string> lines;
  int width = 0;
};

std::string padded(std::string text, int width) {
  text.resize(std::max<size_t>(text.size(), width), ' ');
  return text;
}

std::string cell_text(const std::string& text, Mark mark, bool colour) {
  const std::string shown = text.empty() ? "." : text;
  if (!colour) return mark == Mark::wrong ? "[" + shown + "]" : " " + shown + " ";
  switch (mark) {
    case Mark::given:
      return " \033[1m" + shown + "\033[0m ";
    case Mark::right:
      return " \033[32m" + shown + "\033[0m ";
    case Mark::wrong:
      return " \033[31m" + shown + "\033[0m ";
    default:
      return " " + shown + " ";
  }
}

// `tokens` drawn with its wrong and given cells marked; `caption` above, `notes` below.
Block draw(const Tokens& tokens, const PuzzleTrace& trace, const Task& task, bool colour,
           const std::string& caption, const std::vector<std::string>& notes) {
  const auto [n, box_rows, box_cols] = task.layout(std::ssize(tokens));
  Block block;
  block.width = 3 * n + 2 * (n / box_cols - 1);
  block.lines.push_back(padded(caption, block.width));
  for (int r = 0; r < n; ++r) {
    if (r > 0 && r % box_rows == 0) block.lines.push_back(padded("", block.width));
    std::string line;
    for (int c = 0; c < n; ++c) {
      if (c > 0 && c % box_cols == 0) line += "  ";
      const int i = r * n + c;
      line += cell_text(task.look(tokens[i]).text, mark_of(trace, tokens, i, task), colour);
    }
    block.lines.push_back(line);
  }
  for (const std::string& note : notes) block.lines.push_back(padded(note, block.width));
  return block;
}

// Blocks of one size, as many in a row as fit into `width`.
std::string side_by_side(const std::vector<Block>& blocks, int width) {
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

// Text in lines of the layout's length.
std::string in_lines(const std::string& text, int columns) {
  std::string lines;
  for (size_t at = 0; at < text.size(); at += columns) lines += text.substr(at, columns) + "\n";
  return lines;
}

std::string number_line(const char* name, const Tokens& tokens) {
  std::string line = name;
  for (const int32_t t : tokens) line += " " + std::to_string(t);
  return line + "\n";
}

// A line for what each round of a lattice did, and its first and last state.
std::string rounds_text(const PuzzleTrace& trace, const Task& task, bool colour, int width) {
  std::string text;
  for (size_t i = 0; i < trace.notes.size(); ++i)
    text += fmt::format("round {}: {}\n", i + 1, printable(trace.notes[i]));
  const Tokens& last = trace.predictions.back();
  if (task.drawing() != Drawing::cells)
    return text + "\n" + in_lines(task.text(last), task.layout(std::ssize(last)).columns);
  return text + "\n" +
         side_by_side({draw(trace.inputs, trace, task, colour, " givens", {""}),
                       draw(last, trace, task, colour, " settled", {""})},
                      width);
}

// Whether the model says by itself how much it wants to go on, and not as the rest to 1.
bool has_q_continue(const PuzzleTrace& trace) {
  for (size_t s = 0; s < trace.q_continue.size(); ++s)
    if (std::abs(trace.q_halt[s] + trace.q_continue[s] - 1) > 1e-6) return true;
  return false;
}

}  // namespace

std::string trace_text(const PuzzleTrace& trace, const Task& task, bool colour, int width) {
  const size_t segments = trace.predictions.size();
  HRM_CHECK(!trace.inputs.empty() && (!task.cells() || std::ssize(trace.inputs) == task.cells()),
            "[draw] a puzzle of the kind ", task.kind(), " has ", task.cells(), " cells, got ",
            trace.inputs.size());
  if (!trace.notes.empty()) return rounds_text(trace, task, colour, width);
  const bool both = has_q_continue(trace);
  if (task.drawing() == Drawing::cells) {
    const size_t notes = both ? 2 : 1;
    PuzzleTrace puzzle;  // nothing in it is right or wrong
    puzzle.inputs = trace.inputs;
    std::vector<Block> blocks = {
        draw(trace.inputs, puzzle, task, colour, " givens", std::vector<std::string>(notes))};
    for (size_t s = 0; s < segments; ++s) {
      std::vector<std::string> said = {fmt::format(" halt {:.1f}%", 100 * trace.q_halt[s])};
      if (both) said.push_back(fmt::format(" go on {:.1f}%", 100 * trace.q_continue[s]));
      blocks.push_back(
          draw(trace.predictions[s], trace, task, colour, fmt::format(" seg. {}", s + 1), said));
    }
    return side_by_side(blocks, width);
  }
  const auto lines_of_text = [&](const Tokens& tokens) {
    const std::string line = task.text(tokens);
    if (task.drawing() == Drawing::numbers) return line + "\n";
    return in_lines(line, task.layout(std::ssize(tokens)).columns);
  };
  std::string text;
  for (size_t s = 0; s < segments; ++s)
    text += fmt::format("segment {}, halt {:.1f} %{}\n", s + 1, 100 * trace.q_halt[s],
                        both ? fmt::format(", go on {:.1f} %", 100 * trace.q_continue[s]) : "") +
            lines_of_text(trace.predictions[s]) + "\n";
  return text;
}

std::string example_text(const Example& example, const Task& task, bool colour) {
  const int columns = task.layout(std::ssize(example.labels)).columns;
  switch (task.drawing()) {
    case Drawing::text:
      return in_lines(task.text(example.inputs), columns) + "\n" +
             in_lines(task.text(example.labels), columns) + "\n";
    case Drawing::colours:
      return sheet_text({{"",
                          {{"input", crop(example.inputs.data(), columns)},
                           {"output", crop(example.labels.data(), columns)}}}},
                        colour);
    case Drawing::cells: {
      PuzzleTrace trace;
      trace.inputs = example.inputs;
      return trace_text(trace, task, colour) + task.text(example.inputs) + "\n" +
             task.text(example.labels) + "\n";
    }
    case Drawing::numbers:
      break;
  }
  return number_line("inputs", example.inputs) + number_line("labels", example.labels);
}

bool is_solved(const PuzzleTrace& trace, const Tokens& answer, const Task& task) {
  // Cells without supervision, as the padding of ARC's grids, may hold anything.
  bool supervised = false, same = answer.size() == trace.labels.size();
  for (size_t i = 0; same && i < answer.size(); ++i) {
    if (trace.labels[i] < 0) continue;
    supervised = true;
    same = answer[i] == trace.labels[i];
  }
  if (same && supervised) return true;
  // A trace may come from a file: check() takes puzzles of the right size alone.
  const bool fits = std::ssize(trace.inputs) == task.cells() && std::ssize(answer) == task.cells();
  return fits && task.several_answers() && task.check(trace.inputs, answer).empty();
}

std::string grid_legend(const Task& task) {
  std::string html = "<div class=\"legend\">" + swatches(task.legend());
  if (task.drawing() == Drawing::cells) html += "<span>bold: given</span><span>green: right</span>";
  if (task.marks_wrong_cells())
    html += R"(<span><b class="swatch wrong"></b>differs from the answer</span>)";
  return html + "</div>";
}

std::string grid_svg(const PuzzleTrace& trace, const Tokens& tokens, const Task& task) {
  const auto [cols, box_rows, box_cols] = task.layout(std::ssize(tokens));
  const int cells = static_cast<int>(tokens.size()), rows = (cells + cols - 1) / cols;
  constexpr int kSize = 30;
  // Another right answer than the stored one has no wrong cells.
  const bool marked = task.marks_wrong_cells() && !is_solved(trace, tokens, task);
  std::string svg;
  for (int i = 0; i < cells; ++i) {
    const int x = i % cols * kSize, y = i / cols * kSize;
    const CellLook look = task.look(tokens[i]);
    Mark mark = mark_of(trace, tokens, i, task);
    if (mark == Mark::wrong && !marked) mark = Mark::right;
    svg +=
        fmt::format(R"(<rect x="{}" y="{}" width="30" height="30" fill="{}"/>)", x, y, look.fill);
    if (!look.text.empty()) {
      const char* style = mark == Mark::given   ? " given"
                          : mark == Mark::wrong ? " wrong"
                          : mark == Mark::right ? " right"
                                                : "";
      svg += fmt::format(R"(<text class="text{}" x="{}" y="{}">)", style, x + 15, y + 21) +
             escape_html(look.text) + "</text>";
    }
    if (mark == Mark::wrong)
      svg += fmt::format(R"(<circle class="wrong" cx="{}" cy="{}" r="4"/>)", x + 24, y + 24);
  }
  for (int c = 0; c <= cols; ++c)
    svg += fmt::format(R"(<line class="{}" x1="{}" x2="{}" y1="0" y2="{}"/>)",
                       c % box_cols ? "rule" : "box", c * kSize, c * kSize, rows * kSize);
  for (int r = 0; r <= rows; ++r)
    svg += fmt::format(R"(<line class="{}" x1="0" x2="{}" y1="{}" y2="{}"/>)",
                       r % box_rows ? "rule" : "box", cols * kSize, r * kSize, r * kSize);
  return svg;
}

}  // namespace hrm

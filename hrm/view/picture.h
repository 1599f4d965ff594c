// Grids of colours as text for a terminal, as SVG and as HTML.
//
//     const Sheet sheet = {{"demonstration 1", {{"input", pair.input}, {"output", pair.output}}}};
//     write_output("task.svg", sheet_svg(sheet));   // tensor/io.h
#pragma once

#include <string>
#include <vector>

#include "hrm/tasks/arc.h"
#include "hrm/tasks/arc_grids.h"

namespace hrm {

struct Panel {
  std::string caption;
  ArcGrid grid;
  bool follows = false;  // from the panel before it: an arrow leads here
  ArcGrid truth = {};    // cells that differ from it are marked; empty: not known
};
// Rows of grids side by side, each row with a title.
struct SheetRow {
  std::string title;
  std::vector<Panel> panels;
};
using Sheet = std::vector<SheetRow>;

// With colour, in 24 bits where the terminal says that it knows them, else in 256 colours.
std::string sheet_text(const Sheet& sheet, bool colour);
// One picture for all.
std::string sheet_svg(const Sheet& sheet);
// A picture for each grid, which flow into as many lines as the page needs.
std::string sheet_figures(const Sheet& sheet);
// Colours and their names, for an element of class "legend".
std::string swatches(const std::vector<ColourName>& names);
// A page of them, with a legend.
std::string sheet_html(const std::string& title, const Sheet& sheet);

}  // namespace hrm

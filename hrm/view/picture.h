// Grids of colours as text for a terminal, as SVG and as HTML.
//
//     const Sheet sheet = {{"demonstration 1", {{"input", pair.input}, {"output", pair.output}}}};
//     write_output("task.svg", sheet_svg(sheet));
#pragma once

#include <string>
#include <vector>

#include "hrm/tasks/arc.h"
#include "hrm/tasks/arc_grids.h"

namespace hrm {

struct Panel {
  std::string caption;
  ArcGrid grid;
};
// Rows of grids side by side, each row with a title.
struct SheetRow {
  std::string title;
  std::vector<Panel> panels;
};
using Sheet = std::vector<SheetRow>;

std::string sheet_text(const Sheet& sheet, bool colour);
std::string sheet_svg(const Sheet& sheet);
std::string sheet_html(const std::string& title, const Sheet& sheet);

}  // namespace hrm

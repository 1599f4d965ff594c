#include "hrm/view/picture.h"

#include <algorithm>

#include <fmt/core.h>

#include "hrm/view/page.h"

namespace hrm {
namespace {

constexpr int kCell = 14, kGap = 24, kHead = 22, kCaption = 16;

// Channel `i` of a colour: 0 red, 1 green, 2 blue.
int channel(int colour, int i) {
  return std::stoi(std::string(arc_colour(colour)).substr(1 + 2 * i, 2), nullptr, 16);
}

// With the gap behind it.
int width_of(const Panel& p) {
  return std::max(p.grid.width * kCell, static_cast<int>(p.caption.size()) * 7) + kGap;
}
int width_of(const SheetRow& row) {
  int width = kGap;
  for (const Panel& p : row.panels) width += width_of(p);
  return width;
}
int height_of(const SheetRow& row) {
  int cells = 0;
  for (const Panel& p : row.panels) cells = std::max(cells, p.grid.height);
  return kHead + kCaption + cells * kCell + kGap;
}

// Calls f(panel, x, y) for every grid in pixels.
template <class F>
void place(const Sheet& sheet, const F& f) {
  int y = 0;
  for (const SheetRow& row : sheet) {
    int x = kGap;
    for (const Panel& p : row.panels) {
      f(p, x, y + kHead + kCaption);
      x += width_of(p);
    }
    y += height_of(row);
  }
}

std::pair<int, int> size_of_sheet(const Sheet& sheet) {
  int width = 1, height = 1;
  for (const SheetRow& row : sheet) {
    width = std::max(width, width_of(row));
    height += height_of(row);
  }
  return {width, height};
}

}  // namespace

std::string sheet_text(const Sheet& sheet, bool colour) {
  std::string text;
  for (const SheetRow& row : sheet) {
    text += row.title + "\n";
    int height = 0;
    for (const Panel& p : row.panels) height = std::max(height, p.grid.height);
    for (int line = -1; line < height; ++line) {
      std::string out;
      for (const Panel& p : row.panels) {
        const size_t width = std::max<size_t>(2 * p.grid.width, p.caption.size());
        size_t used = 0;
        out += "  ";
        if (line < 0) {
          out += p.caption;
          used = p.caption.size();
        } else if (line < p.grid.height) {
          for (int c = 0; c < p.grid.width; ++c) {
            const int cell = p.grid.at(line, c);
            out += colour ? fmt::format("\033[48;2;{};{};{}m  \033[0m", channel(cell, 0),
                                        channel(cell, 1), channel(cell, 2))
                          : std::to_string(cell) + " ";
          }
          used = 2 * static_cast<size_t>(p.grid.width);
        }
        out += std::string(width - used, ' ');
      }
      while (!out.empty() && out.back() == ' ') out.pop_back();
      text += out + "\n";
    }
    text += "\n";
  }
  return text;
}

std::string sheet_svg(const Sheet& sheet) {
  const auto [width, height] = size_of_sheet(sheet);
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " +
                    std::to_string(width) + " " + std::to_string(height) + "\" width=\"" +
                    std::to_string(width) +
                    "\" font-family=\"system-ui,sans-serif\" font-size=\"12\" fill=\"#667085\">";
  const auto at = [](int x, int y) {
    return " x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\"";
  };
  int top = 0;
  for (const SheetRow& row : sheet) {
    svg += "<text font-weight=\"600\"" + at(kGap, top + kHead - 6) + ">" + escape_html(row.title) +
           "</text>";
    top += height_of(row);
  }
  place(sheet, [&](const Panel& p, int x, int y) {
    svg += "<text" + at(x, y - 5) + ">" + escape_html(p.caption) +
           "</text><g stroke=\"#555\" stroke-width=\".5\">";
    for (int r = 0; r < p.grid.height; ++r)
      for (int c = 0; c < p.grid.width; ++c)
        svg += "<rect" + at(x + c * kCell, y + r * kCell) + " width=\"14\" height=\"14\" fill=\"" +
               arc_colour(p.grid.at(r, c)) + "\"/>";
    svg += "</g>";
  });
  return svg + "</svg>";
}

std::string sheet_html(const std::string& title, const Sheet& sheet) {
  return html_page(title, "<div class=\"wide\">" + sheet_svg(sheet) + "</div>");
}

}  // namespace hrm

#include "hrm/view/picture.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include <fmt/core.h>

#include "hrm/view/page.h"

namespace hrm {
namespace {

constexpr int kCell = 14, kGap = 24, kHead = 22, kCaption = 16;

// Channel `i` of a colour: 0 red, 1 green, 2 blue.
int channel(int colour, int i) {
  return std::stoi(std::string(arc_colour(colour)).substr(1 + 2 * i, 2), nullptr, 16);
}

// With the gap before it, in which an arrow may be, and none behind.
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

// Another colour than the truth has there, or none.
bool is_wrong(const Panel& p, int row, int column) {
  if (p.truth.empty()) return false;
  return row >= p.truth.height || column >= p.truth.width ||
         p.truth.at(row, column) != p.grid.at(row, column);
}

// How many cells differ, for those who cannot see the marks; a truth of another size has no marks
// where the grid ends early.
std::string described(const Panel& p) {
  std::string text = fmt::format("{}: {} x {} cells", p.caption, p.grid.height, p.grid.width);
  if (p.truth.empty()) return text;
  int wrong = 0;
  for (int r = 0; r < p.grid.height; ++r)
    for (int c = 0; c < p.grid.width; ++c) wrong += is_wrong(p, r, c);
  if (p.grid.height != p.truth.height || p.grid.width != p.truth.width)
    return text + fmt::format(", not {} x {}", p.truth.height, p.truth.width);
  return text + (wrong == 0 ? ", right" : fmt::format(", {} wrong", wrong));
}

// The cells of a grid, `size` pixels each.
std::string cells_svg(const Panel& p, int x, int y, int size) {
  std::string svg = "<g stroke=\"#555\" stroke-width=\".5\">", marks;
  for (int r = 0; r < p.grid.height; ++r)
    for (int c = 0; c < p.grid.width; ++c) {
      svg += fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" fill="{}"/>)", x + c * size,
                         y + r * size, size, size, arc_colour(p.grid.at(r, c)));
      if (is_wrong(p, r, c))
        marks += fmt::format(R"(<circle cx="{}" cy="{}" r="{:.1f}"/>)", x + c * size + size / 2,
                             y + r * size + size / 2, size * 0.2);
    }
  if (!marks.empty())
    marks = R"(<g fill="#fff" stroke="#000" stroke-width="1.2">)" + marks + "</g>";
  return svg + "</g>" + marks;
}

// A colour of a terminal as the background, and black or white on it.
std::string terminal_colour(int colour, bool all_colours) {
  const int r = channel(colour, 0), g = channel(colour, 1), b = channel(colour, 2);
  const int ink = 2 * r + 7 * g + b > 1300 ? 16 : 231;
  if (all_colours) return fmt::format("\033[38;5;{}m\033[48;2;{};{};{}m", ink, r, g, b);
  const auto sixth = [](int v) { return (v * 5 + 127) / 255; };
  return fmt::format("\033[38;5;{}m\033[48;5;{}m", ink,
                     16 + 36 * sixth(r) + 6 * sixth(g) + sixth(b));
}

bool terminal_has_all_colours() {
  const char* const says = std::getenv("COLORTERM");
  return says && (std::string_view(says) == "truecolor" || std::string_view(says) == "24bit");
}

}  // namespace

std::string sheet_text(const Sheet& sheet, bool colour) {
  const bool all_colours = colour && terminal_has_all_colours();
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
            out += colour ? fmt::format("{}{} \033[0m", terminal_colour(cell, all_colours), cell)
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
  std::string svg =
      fmt::format(R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" )"
                  R"(width="{0}" role="img" aria-label="grids of colours" )"
                  R"(font-family="system-ui,sans-serif" font-size="12" fill="#667085">)",
                  width, height);
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
    svg += "<text" + at(x, y - 5) + ">" + escape_html(p.caption) + "</text>" +
           cells_svg(p, x, y, kCell);
    if (p.follows)
      svg += "<text" + at(x - 18, y + p.grid.height * kCell / 2 + 4) + ">&#8594;</text>";
  });
  return svg + "</svg>";
}

std::string sheet_figures(const Sheet& sheet) {
  std::string html;
  for (const SheetRow& row : sheet) {
    html +=
        "<section class=\"sheet\"><h2>" + escape_html(row.title) + "</h2><div class=\"panels\">";
    for (const Panel& p : row.panels) {
      // Small grids have large cells.
      const int size = std::clamp(220 / std::max({1, p.grid.width, p.grid.height}), 11, 26);
      if (p.follows) html += "<span class=\"arrow\" aria-hidden=\"true\">&#8594;</span>";
      html += "<figure><figcaption>" + escape_html(p.caption) + "</figcaption>" +
              fmt::format(
                  R"(<svg width="{0}" viewBox="-1 -1 {0} {1}" role="img"><title>{2}</title>)",
                  p.grid.width * size + 2, p.grid.height * size + 2, escape_html(described(p))) +
              cells_svg(p, 0, 0, size) + "</svg></figure>";
    }
    html += "</div></section>";
  }
  return html;
}

std::string swatches(const std::vector<ColourName>& names) {
  std::string html;
  for (const ColourName& c : names)
    html += fmt::format(R"(<span><b class="swatch" style="background:{}"></b>{}</span>)", c.fill,
                        escape_html(c.name));
  return html;
}

std::string sheet_html(const std::string& title, const Sheet& sheet) {
  std::string legend = "<div class=\"legend\">" + swatches(ArcGrids(kArcSide).legend());
  const bool judged = std::ranges::any_of(sheet, [](const SheetRow& row) {
    return std::ranges::any_of(row.panels, [](const Panel& p) { return !p.truth.empty(); });
  });
  if (judged) legend += "<span>a white dot: another colour than in the truth</span>";
  return html_page(title, legend + "</div>" + sheet_figures(sheet));
}

}  // namespace hrm

#include "hrm/view/page.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

namespace hrm {
namespace {

constexpr const char* kStyle = R"css(
:root{--ink:#1c2330;--soft:#667085;--line:#e3e6ec;--paper:#fff;--card:#f8f9fb;--blue:#2f6fdf;
--green:#15803d;--red:#c2410c;--amber:#b7791f}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#2c3442;--paper:#12161d;
--card:#1a2029;--blue:#79a8ff;--green:#4ade80;--red:#fb923c;--amber:#f2c14e}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1060px;padding:32px 20px 64px;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.7rem;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:1.12rem;margin:40px 0 6px}
p{margin:4px 0 12px;color:var(--soft);max-width:46em}
code{font:13px/1.5 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:22px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}
.tile b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums;letter-spacing:-.02em}
.tile span{color:var(--soft);font-size:.84rem}
.two{display:grid;gap:8px 28px}@media(min-width:700px){.two{grid-template-columns:1fr 1fr}}
svg.chart{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font-size:12px}
svg .axis{stroke:var(--line);fill:none}
svg .title{fill:var(--ink);font-size:13px;font-weight:600}
.train{stroke:var(--soft);fill:none;stroke-width:1.4;opacity:.75}
.eval{stroke:var(--blue);fill:none;stroke-width:2.4}
.dot{fill:var(--blue)}.bar{fill:var(--blue)}.faint{stroke:var(--soft);stroke-dasharray:4 4;opacity:.6}
.legend{font-size:.84rem;color:var(--soft)}.legend i{display:inline-block;width:18px;height:3px;
vertical-align:middle;margin:0 6px 0 12px;background:var(--soft)}.legend i.e{background:var(--blue)}
.s0{--c:#2f6fdf}.s1{--c:#c2410c}.s2{--c:#15803d}.s3{--c:#9333ea}.s4{--c:#b7791f}.s5{--c:#0e8a9c}
.s6{--c:#be185d}.s7{--c:#667085}.s8{--c:#65a30d}.s9{--c:#7c2d12}.s10{--c:#0369a1}.s11{--c:#e879f9}
.legend span{white-space:nowrap}
.published{stroke:var(--soft);fill:none;stroke-width:1.6;stroke-dasharray:5 4}
polyline.series,line.series{stroke:var(--c);fill:none;stroke-width:2}circle.series{fill:var(--c)}
.legend i.series{background:var(--c)}
details{margin:6px 0}summary{cursor:pointer;color:var(--soft)}
th{text-align:left;font-weight:600;padding:3px 14px 3px 0;border-bottom:1.5px solid var(--soft)}
.wide{overflow-x:auto}.wide td{white-space:nowrap}
.puzzles{margin-top:16px;display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:20px}
.puzzle{border:1px solid var(--line);border-radius:10px;padding:12px;background:var(--card)}
.puzzle header{display:flex;justify-content:space-between;font-size:.84rem;color:var(--soft)}
.puzzle input{width:100%;accent-color:var(--blue)}
.puzzle svg{width:100%;height:auto}
.frame{display:none}.frame.on{display:inline}
.rule{stroke:var(--line);stroke-width:1}.box{stroke:var(--soft);stroke-width:1.6}
.given{fill:var(--ink)!important;font-weight:700}.right{fill:var(--green)!important}
.wrong{fill:var(--red)!important;font-weight:700}.bad{fill:var(--red);opacity:.14}
table{border-collapse:collapse;font-size:.88rem;width:100%}
td{padding:3px 14px 3px 0;border-bottom:1px solid var(--line);vertical-align:top}
td:first-child{color:var(--soft)}
.settings{columns:2;column-gap:40px}@media(max-width:700px){.settings{columns:1}}
@media print{.puzzle{break-inside:avoid}}
)css";

constexpr size_t kColours = 12;
constexpr double kLeft = 48, kRight = 450, kTop = 28, kBottom = 214;  // of the chart area

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Chart::Chart(const std::string& title, double x_max, double y_max, const std::string& x_label,
             bool percent)
    : x_max_(std::max(x_max, 1e-12)), y_max_(std::max(y_max, 1e-12)) {
  svg_ = "<svg class=\"chart\" viewBox=\"0 0 470 250\" role=\"img\"><title>" + escape_html(title) +
         "</title><text class=\"title\" x=\"8\" y=\"16\">" + escape_html(title) + "</text>";
  for (int i = 0; i <= 4; ++i) {
    const double y = y_max_ * i / 4;
    svg_ += fmt::format(R"(<line class="axis" x1="{:.0f}" x2="{:.0f}" y1="{:.1f}" y2="{:.1f}"/>)",
                        kLeft, kRight, py(y), py(y));
    svg_ += fmt::format(R"(<text x="42" y="{:.1f}" text-anchor="end">)", py(y) + 4) +
            (percent ? fmt::format("{:.3g}%", 100 * y) : fmt::format("{:.3g}", y)) + "</text>";
  }
  svg_ += "<text x=\"450\" y=\"246\" text-anchor=\"end\">" + escape_html(x_label) + "</text>";
}

double Chart::px(double x) const { return kLeft + (kRight - kLeft) * x / x_max_; }
double Chart::py(double y) const {
  return kBottom - (kBottom - kTop) * std::clamp(y, 0.0, y_max_) / y_max_;
}

void Chart::x_tick(double x, const std::string& text) {
  svg_ += fmt::format(R"(<text x="{:.1f}" y="230" text-anchor="middle">)", px(x)) +
          escape_html(text) + "</text>";
}

void Chart::x_ticks() {
  double step = std::pow(10, std::floor(std::log10(x_max_)));
  while (x_max_ / step < 3) step /= 2;
  for (double x = step; x <= x_max_ * 1.0001; x += step)
    x_tick(x, step >= 1000 ? fmt::format("{:g}k", x / 1000) : fmt::format("{:.4g}", x));
}

void Chart::line(const Curve& curve, const std::string& css) {
  if (curve.empty()) return;
  svg_ += "<polyline class=\"" + css + "\" points=\"";
  for (const Point& p : curve) svg_ += fmt::format("{:.1f},{:.1f} ", px(p.x), py(p.y));
  svg_ += "\"/>";
}

void Chart::dot(Point p, double radius, const std::string& note, const std::string& css) {
  svg_ += "<circle class=\"" + css + "\"" +
          fmt::format(R"( cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>)", px(p.x), py(p.y), radius) +
          escape_html(note) + "</title></circle>";
}

void Chart::whisker(double x, double low, double high, const std::string& css) {
  svg_ += "<line class=\"" + css + "\"" +
          fmt::format(R"( x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}" opacity=".5"/>)", px(x),
                      px(x), py(low), py(high));
}

void Chart::bar(double x, double width, double y, const std::string& note) {
  svg_ += fmt::format(R"(<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" )"
                      R"(rx="2"><title>)",
                      px(x - width / 2), py(y), px(width) - px(0), py(0) - py(y)) +
          escape_html(note) + "</title></rect>";
}

std::string series_class(size_t i) { return "series s" + std::to_string(i % kColours); }

std::string series_legend(const std::vector<std::string>& names) {
  std::string html = "<div class=\"legend\">";
  for (size_t i = 0; i < names.size(); ++i)
    html += "<span><i class=\"" + series_class(i) + "\"></i>" + escape_html(names[i]) + "</span> ";
  return html + "</div>";
}

std::string table_row(const std::vector<std::string>& cells, bool head) {
  std::string html = "<tr>";
  for (const std::string& cell : cells)
    html += (head ? "<th>" : "<td>") + escape_html(cell) + (head ? "</th>" : "</td>");
  return html + "</tr>";
}

std::string html_page(const std::string& title, const std::string& body,
                      const std::string& script) {
  return "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>" +
         escape_html(title) + "</title><style>" + kStyle + "</style></head><body><h1>" +
         escape_html(title) + "</h1>" + body +
         (script.empty() ? "" : "<script>" + script + "</script>") + "</body></html>\n";
}

}  // namespace hrm

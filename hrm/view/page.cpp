#include "hrm/view/page.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/core.h>

#include "hrm/view/page_files.h"

namespace hrm {
namespace {

constexpr size_t kColours = 12;
constexpr double kLeft = 52, kRight = 450, kTop = 28, kBottom = 212;  // of the chart area

// The least of 1, 2 and 5 times a power of ten that divides `range` into at most `parts`.
double round_step(double range, int parts) {
  const double power = std::pow(10, std::floor(std::log10(range / parts)));
  for (const double factor : {1, 2, 5})
    if (factor * power * parts >= range * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

// The end of an axis from 0 that can be computed with, whatever a file says.
double end_of_axis(double most) { return std::clamp(most, 1e-12, 1e100); }

// "0.05", "200", "20k"
std::string number(double value) {
  if (value >= 1e6) return fmt::format("{:g}M", value / 1e6);
  return value >= 10000 ? fmt::format("{:g}k", value / 1000) : fmt::format("{:.4g}", value);
}

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
    : x_max_(end_of_axis(x_max)), y_max_(end_of_axis(y_max)) {
  begin(title, x_label);
  const double step = percent && y_max_ > 0.5 ? 0.25 : round_step(y_max_, 5);
  // The axis ends at a tick, unless it is a share that stays below one.
  if (!percent) y_max_ = step * std::ceil(y_max_ / step - 1e-9);
  for (int i = 0; i * step <= y_max_ * 1.0001; ++i)
    y_tick(i * step, percent ? fmt::format("{:.3g}%", 100 * i * step) : number(i * step));
}

Chart Chart::logarithmic(const std::string& title, double x_max, double y_min, double y_max,
                         const std::string& x_label) {
  Chart chart;
  chart.x_max_ = end_of_axis(x_max);
  chart.y_max_ = end_of_axis(y_max);
  y_min = std::clamp(y_min, chart.y_max_ * 1e-30, chart.y_max_ / 2);
  const auto power = [](double v) { return std::pow(10, std::floor(std::log10(v) + 1e-9)); };
  const double low = power(y_min);
  for (const double factor : {1, 2, 5})
    if (factor * low <= y_min * 1.0001) chart.y_low_ = factor * low;
  chart.begin(title, x_label);
  const double decades = std::log10(chart.y_max_ / chart.y_low_);
  const double stride = std::pow(10, std::max(1.0, std::ceil(decades / 6)));
  for (double decade = power(chart.y_low_); decade <= chart.y_max_; decade *= stride)
    for (const double factor : {1, 2, 5}) {
      const double y = factor * decade;
      if (y < chart.y_low_ * 0.999 || y > chart.y_max_ || (factor != 1 && decades > 2.2)) continue;
      chart.y_tick(y, number(y));
    }
  return chart;
}

void Chart::begin(const std::string& title, const std::string& x_label) {
  svg_ = "<svg class=\"chart\" viewBox=\"0 0 470 250\" role=\"img\"><title>" + escape_html(title) +
         "</title><text class=\"title\" x=\"8\" y=\"16\">" + escape_html(title) +
         "</text><text x=\"450\" y=\"248\" text-anchor=\"end\">" + escape_html(x_label) + "</text>";
}

double Chart::px(double x) const {
  return kLeft + (kRight - kLeft) * std::clamp(x / x_max_, -1.0, 2.0);
}
double Chart::py(double y) const {
  const double share =
      y_low_ > 0 ? std::log(std::max(y, y_low_) / y_low_) / std::log(y_max_ / y_low_) : y / y_max_;
  return kBottom - (kBottom - kTop) * std::clamp(share, 0.0, 1.0);
}

void Chart::y_tick(double y, const std::string& text) {
  svg_ += fmt::format(R"(<line class="axis" x1="{:.0f}" x2="{:.0f}" y1="{:.1f}" y2="{:.1f}"/>)",
                      kLeft, kRight, py(y), py(y)) +
          fmt::format(R"(<text x="{:.0f}" y="{:.1f}" text-anchor="end">{}</text>)", kLeft - 6,
                      py(y) + 4, text);
}

void Chart::x_tick(double x, const std::string& text) {
  svg_ += fmt::format(R"(<text x="{:.1f}" y="230" text-anchor="middle">)", px(x)) +
          escape_html(text) + "</text>";
}

void Chart::x_ticks() {
  const double step = round_step(x_max_, 5);
  for (int i = 1; i * step <= x_max_ * 1.0001; ++i) x_tick(i * step, number(i * step));
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

void Chart::label(Point p, double radius, const std::string& text) {
  const double above = py(p.y) - radius - 5, below = py(p.y) + radius + 13;
  svg_ += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">)", px(p.x),
                      above > kTop - 4 ? above : below) +
          escape_html(text) + "</text>";
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

Chart loss_chart(const std::string& title, const std::vector<Curve>& curves,
                 const std::string& x_label) {
  double x_max = 0, low = std::numeric_limits<double>::infinity(), high = 0;
  for (const Curve& curve : curves)
    for (const Point& p : curve) {
      x_max = std::max(x_max, p.x);
      high = std::max(high, p.y);
      if (p.y > 0) low = std::min(low, p.y);
    }
  const bool falls_far = std::isfinite(high) && high > 20 * low;
  return falls_far ? Chart::logarithmic(title + " (logarithmic)", x_max, low, high, x_label)
                   : Chart(title, x_max, high, x_label, false);
}

std::string series_class(size_t i) { return fmt::format("series s{} n{}", i % kColours, i); }

std::string series_legend(const std::vector<std::string>& names) {
  std::string html = "<div class=\"legend\">";
  for (size_t i = 0; i < names.size(); ++i)
    html += fmt::format(R"(<button type="button" aria-pressed="true" data-series="n{}" )"
                        R"(title="Show or hide it"><i class="{}"></i>{}</button>)",
                        i, series_class(i), escape_html(names[i]));
  return html + "</div>";
}

std::string table_row(const std::vector<std::string>& cells, bool head) {
  std::string html = "<tr>";
  for (const std::string& cell : cells)
    html += (head ? "<th>" : "<td>") + escape_html(cell) + (head ? "</th>" : "</td>");
  return html + "</tr>";
}

std::string tile(const std::string& value, const std::string& what) {
  return "<div class=\"tile\"><b>" + escape_html(value) + "</b><span>" + escape_html(what) +
         "</span></div>";
}

std::string html_page(const std::string& title, const std::string& body) {
  std::string html =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
      "form-action 'none'; base-uri 'none'\">"
      "<link rel=\"icon\" href=\"data:,\"><title>" +
      escape_html(title) + "</title><style>";
  html += style_sheet();
  html += "</style></head><body><h1>" + escape_html(title) + "</h1>" + body +
          "<script type=\"module\">";
  html += viewer_script();
  return html + "</script></body></html>\n";
}

}  // namespace hrm

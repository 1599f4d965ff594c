// Self-contained HTML pages with SVG charts: run reports, comparisons, experiments.
//
//     Chart chart("loss", 1000, 2, "step", false);
//     chart.line({{1, 1.8}, {500, 1.1}, {1000, 0.9}}, "train");
//     write_output("loss.html", html_page("A training", chart.str()));   // tensor/io.h
#pragma once

#include <string>
#include <vector>

namespace hrm {

std::string escape_html(const std::string& text);

struct Point {
  double x, y;
};
using Curve = std::vector<Point>;

// A chart area with axes from 0 and round numbers beside them; data coordinates are mapped into it,
// y above y_max is cut.
class Chart {
 public:
  Chart(const std::string& title, double x_max, double y_max, const std::string& x_label,
        bool percent);
  // y on a logarithmic scale, from about y_min > 0 on; what is below is cut.
  static Chart logarithmic(const std::string& title, double x_max, double y_min, double y_max,
                           const std::string& x_label);

  void x_tick(double x, const std::string& text);
  // Ticks at round numbers.
  void x_ticks();
  // css: a class of the style: train, eval, faint, or one of series_class.
  void line(const Curve& curve, const std::string& css);
  void dot(Point p, double radius, const std::string& note, const std::string& css = "dot");
  // Text above a dot, or below it where there is no room.
  void label(Point p, double radius, const std::string& text);
  // From low to high at x: a confidence interval.
  void whisker(double x, double low, double high, const std::string& css);
  // A bar centred at x, `width` in data units.
  void bar(double x, double width, double y, const std::string& note);
  std::string str() const { return svg_ + "</svg>"; }

 private:
  Chart() = default;
  void begin(const std::string& title, const std::string& x_label);
  void y_tick(double y, const std::string& text);
  double px(double x) const;
  double py(double y) const;

  double x_max_ = 1, y_max_ = 1;
  double y_low_ = 0;  // above 0: where a logarithmic axis begins
  std::string svg_;
};

// Of a curve that falls far, on a logarithmic scale, else from 0 on: a loss.
Chart loss_chart(const std::string& title, const std::vector<Curve>& curves,
                 const std::string& x_label);

// Classes of the lines of a chart, by colour (s0, s1, ...) and by number (n0, n1, ...), and the
// legend that names them. A press on a name shows or hides its lines in all charts of the element
// of class "charts" around the legend.
std::string series_class(size_t i);
std::string series_legend(const std::vector<std::string>& names);

std::string table_row(const std::vector<std::string>& cells, bool head = false);  // text, not HTML
// A number in large letters, and what it is.
std::string tile(const std::string& value, const std::string& what);
// The whole page; `body` is HTML. It needs nothing but itself, and the browser keeps it from asking
// for anything.
std::string html_page(const std::string& title, const std::string& body);

}  // namespace hrm

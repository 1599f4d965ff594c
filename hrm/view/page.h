// Self-contained HTML pages with SVG charts: run reports, comparisons, experiments.
//
//     Chart chart("loss", 1000, 2, "step", false);
//     chart.line({{1, 1.8}, {500, 1.1}, {1000, 0.9}}, "train");
//     write_output("loss.html", html_page("A training", chart.str()));
#pragma once

#include <string>
#include <vector>

namespace hrm {

std::string escape_html(const std::string& text);

struct Point {
  double x, y;
};
using Curve = std::vector<Point>;

// A chart area with axes from 0; data coordinates are mapped into it, y above y_max is cut.
class Chart {
 public:
  Chart(const std::string& title, double x_max, double y_max, const std::string& x_label,
        bool percent);
  void x_tick(double x, const std::string& text);
  // Ticks at round numbers.
  void x_ticks();
  // css: a class of the style: train, eval, faint, or one of series_class.
  void line(const Curve& curve, const std::string& css);
  void dot(Point p, double radius, const std::string& note, const std::string& css = "dot");
  // From low to high at x: a confidence interval.
  void whisker(double x, double low, double high, const std::string& css);
  // A bar centred at x, `width` in data units.
  void bar(double x, double width, double y, const std::string& note);
  std::string str() const { return svg_ + "</svg>"; }

 private:
  double px(double x) const;
  double py(double y) const;
  double x_max_, y_max_;
  std::string svg_;
};

// "s0", "s1", ...: colours of the lines of a chart, and the legend that names them.
std::string series_class(size_t i);
std::string series_legend(const std::vector<std::string>& names);

std::string table_row(const std::vector<std::string>& cells, bool head = false);  // text, not HTML
// The whole page. `body` and `script` are HTML and JavaScript.
std::string html_page(const std::string& title, const std::string& body,
                      const std::string& script = "");

}  // namespace hrm

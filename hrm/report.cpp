#include "hrm/report.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "hrm/checkpoint.h"
#include "hrm/picture.h"
#include "hrm/progress.h"

namespace hrm {
namespace fs = std::filesystem;
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

constexpr const char* kScript = R"js(
for(const p of document.querySelectorAll('.puzzle')){const s=p.querySelector('input'),
f=[...p.querySelectorAll('.frame')],o=p.querySelector('output');
const show=()=>{f.forEach((g,i)=>g.classList.toggle('on',i==s.value));o.textContent=f[s.value].dataset.note};
s.oninput=show;show();}
)js";

std::string escape(const std::string& text) {
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

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

struct Point {
  double x, y;
};
using Curve = std::vector<Point>;

// A chart area with axes; data coordinates are mapped into it.
class Chart {
 public:
  Chart(const std::string& title, double x_max, double y_max, const std::string& x_label,
        bool percent)
      : x_max_(std::max(x_max, 1e-12)), y_max_(std::max(y_max, 1e-12)) {
    svg_ = "<svg class=\"chart\" viewBox=\"0 0 470 250\" role=\"img\"><title>" + escape(title) +
           "</title><text class=\"title\" x=\"8\" y=\"16\">" + escape(title) + "</text>";
    for (int i = 0; i <= 4; ++i) {
      const double y = y_max_ * i / 4;
      svg_ += format("<line class=\"axis\" x1=\"48\" x2=\"450\" y1=\"%.1f\" y2=\"%.1f\"/>", py(y),
                     py(y));
      svg_ += format("<text x=\"42\" y=\"%.1f\" text-anchor=\"end\">", py(y) + 4) +
              (percent ? format("%.0f%%", 100 * y) : format("%.3g", y)) + "</text>";
    }
    svg_ += "<text x=\"450\" y=\"246\" text-anchor=\"end\">" + escape(x_label) + "</text>";
  }
  void x_tick(double x, const std::string& text) {
    svg_ += format("<text x=\"%.1f\" y=\"230\" text-anchor=\"middle\">", px(x)) + text + "</text>";
  }
  void line(const Curve& curve, const char* css) {
    if (curve.empty()) return;
    svg_ += format("<polyline class=\"%s\" points=\"", css);
    for (const Point& p : curve) svg_ += format("%.1f,%.1f ", px(p.x), py(std::min(p.y, y_max_)));
    svg_ += "\"/>";
  }
  void dot(Point p, double radius, const std::string& note) {
    svg_ += format("<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"><title>", px(p.x),
                   py(p.y), radius) +
            escape(note) + "</title></circle>";
  }
  // A bar centred at x, `width` in data units.
  void bar(double x, double width, double y, const std::string& note) {
    svg_ += format(
                "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                "rx=\"2\"><title>",
                px(x - width / 2), py(y), px(width) - px(0), py(0) - py(y)) +
            escape(note) + "</title></rect>";
  }
  std::string str() const { return svg_ + "</svg>"; }

 private:
  double px(double x) const { return 48 + 402 * x / x_max_; }
  double py(double y) const { return 214 - 186 * y / y_max_; }
  double x_max_, y_max_;
  std::string svg_;
};

// The lines of metrics.jsonl.
struct Metrics {
  std::vector<Json> train, eval;
};
Metrics read_metrics(const Path& path) {
  Metrics metrics;
  if (!fs::exists(path)) return metrics;
  const std::string text = read_file(path);
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos) break;  // cut off while it was written
    const Json line = Json::parse(text.substr(at, end - at), nullptr, false);
    at = end + 1;
    if (!line.is_object()) continue;
    (line.value("eval", false) ? metrics.eval : metrics.train).push_back(line);
  }
  return metrics;
}

// Points (samples, key), thinned to a few hundred.
Curve curve(const std::vector<Json>& lines, const char* key) {
  Curve all;
  for (const Json& l : lines)
    if (l.contains(key) && l[key].is_number() && l.contains("samples"))
      all.push_back({l["samples"].get<double>(), l[key].get<double>()});
  const size_t stride = all.size() / 400 + 1;
  Curve thin;
  for (size_t i = 0; i < all.size(); i += stride) thin.push_back(all[i]);
  if (!all.empty() && (all.size() - 1) % stride) thin.push_back(all.back());
  return thin;
}

std::string training_section(const Metrics& metrics) {
  if (metrics.train.empty()) return "<p>No training steps are recorded yet.</p>";
  const Curve loss = curve(metrics.train, "lm_loss");
  const double x_max = loss.empty() ? 1 : loss.back().x;
  double y_max = 0;
  for (const Point& p : loss) y_max = std::max(y_max, p.y);
  const auto ticks = [&](Chart& chart) {
    for (int i = 1; i <= 4; ++i)
      chart.x_tick(x_max * i / 4, x_max < 4000 ? format("%.0f", x_max * i / 4)
                                               : format("%.0fk", x_max * i / 4000));
  };
  Chart losses("Token loss per puzzle", x_max, y_max, "training samples", false);
  ticks(losses);
  losses.line(loss, "train");
  Chart accuracy("Puzzles solved exactly", x_max, 1, "training samples", true);
  ticks(accuracy);
  accuracy.line(curve(metrics.train, "exact_accuracy"), "train");
  const Curve held_out = curve(metrics.eval, "exact_accuracy");
  accuracy.line(held_out, "eval");
  for (const Point& p : held_out)
    accuracy.dot(p, 3.5, format("%.1f %% after %.0f samples", 100 * p.y, p.x));
  return "<div class=\"two\">" + losses.str() + accuracy.str() +
         "</div><div class=\"legend\"><i></i>training, puzzles finished in the step"
         "<i class=\"e\"></i>held-out puzzles</div>";
}

std::string segment_charts(const EvalResult& r) {
  const auto segments = static_cast<double>(r.exact_by_segment.size());
  const int every = r.exact_by_segment.size() > 16 ? 4 : 1;
  Chart exact("Solved exactly after each segment", segments + 1, 1, "segment", true);
  Chart halts(
      "Where the q head says halt", segments + 1,
      static_cast<double>(*std::max_element(r.halt_histogram.begin(), r.halt_histogram.end())),
      "segment", false);
  for (size_t s = 1; s <= r.exact_by_segment.size(); ++s) {
    const double share = r.exact_by_segment[s - 1];
    const auto x = static_cast<double>(s);
    exact.bar(x, 0.66, share, format("segment %zu: %.1f %%", s, 100 * share));
    const int64_t count = s < r.halt_histogram.size() ? r.halt_histogram[s] : 0;
    halts.bar(x, 0.66, static_cast<double>(count),
              format("segment %zu: %lld puzzles", s, static_cast<long long>(count)));
    if (s % every == 0) exact.x_tick(x, std::to_string(s)), halts.x_tick(x, std::to_string(s));
  }
  return "<div class=\"two\">" + exact.str() + halts.str() + "</div>";
}

std::string calibration_chart(const EvalResult& r) {
  Chart chart("Solved exactly against q_halt", 1, 1, "q_halt probability", true);
  for (const double x : {0.0, 0.25, 0.5, 0.75, 1.0}) chart.x_tick(x, format("%.2g", x));
  chart.line({{0, 0}, {1, 1}}, "faint");
  for (const CalibrationBin& bin : r.calibration) {
    if (!bin.count) continue;
    const double share = static_cast<double>(bin.exact) / static_cast<double>(bin.count);
    const double size =
        3 + 9 * std::sqrt(static_cast<double>(bin.count) / static_cast<double>(r.count));
    chart.dot({bin.q_mean, share}, size,
              format("q %.2f: %.1f %% of %lld puzzles solved", bin.q_mean, 100 * share,
                     static_cast<long long>(bin.count)));
  }
  return chart.str();
}

// One grid of tokens; sudoku digits, or the plain tokens of another task.
std::string grid(const PuzzleTrace& t, const std::vector<int>& tokens, const Json& task) {
  const std::string kind = task.value("task", "");
  const bool sudoku = kind == "sudoku", maze = kind == "maze", arc = kind == "arc";
  const int cells = static_cast<int>(tokens.size());
  const int cols = sudoku ? task.value("side", 9)
                          : static_cast<int>(std::ceil(std::sqrt(static_cast<double>(cells))));
  const int box_rows = sudoku ? task.value("box_rows", cols) : cols;
  const int box_cols = sudoku ? task.value("box_cols", cols) : cols;
  const int rows = (cells + cols - 1) / cols, size = 30;
  std::string svg;
  for (int i = 0; i < cells; ++i) {
    const int x = i % cols * size, y = i / cols * size;
    const bool given = sudoku && t.inputs[i] > 1;
    const bool judged = i < static_cast<int>(t.labels.size()) && t.labels[i] >= 0 && !given &&
                        !(sudoku && tokens[i] <= 1);
    const bool wrong = judged && tokens[i] != t.labels[i];
    const char* fill = arc && tokens[i] >= 2    ? arc_colour(tokens[i] - 2)
                       : maze && tokens[i] == 1 ? "var(--ink)"
                       : maze && tokens[i] == 5 ? "var(--blue)"
                                                : "var(--paper)";
    svg += format("<rect x=\"%d\" y=\"%d\" width=\"30\" height=\"30\" fill=\"%s\"/>", x, y, fill);
    if (wrong && !arc)
      svg += format("<rect class=\"bad\" x=\"%d\" y=\"%d\" width=\"30\" height=\"30\"/>", x, y);
    if (arc || (maze && tokens[i] != 3 && tokens[i] != 4)) continue;
    const std::string text = maze     ? (tokens[i] == 3 ? "S" : "G")
                             : sudoku ? (tokens[i] > 1 ? std::to_string(tokens[i] - 1) : "")
                                      : std::to_string(tokens[i]);
    svg +=
        format(
            "<text class=\"%s\" x=\"%d\" y=\"%d\" text-anchor=\"middle\" style=\"font-size:16px\">",
            given    ? "given"
            : wrong  ? "wrong"
            : judged ? "right"
                     : "",
            x + 15, y + 21) +
        text + "</text>";
  }
  for (int c = 0; c <= cols; ++c)
    svg += format("<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"0\" y2=\"%d\"/>",
                  c % box_cols ? "rule" : "box", c * size, c * size, rows * size);
  for (int r = 0; r <= rows; ++r)
    svg += format("<line class=\"%s\" x1=\"0\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>",
                  r % box_rows ? "rule" : "box", cols * size, r * size, r * size);
  return svg;
}

std::string puzzle_card(const PuzzleTrace& t, const Json& task) {
  const int cells = static_cast<int>(t.inputs.size());
  const int side = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(cells)))) * 30;
  const bool solved = !t.predictions.empty() && t.predictions.back() == t.labels;
  std::string html =
      "<div class=\"puzzle\"><header><span>" + std::string(solved ? "solved" : "not solved") +
      "</span><output></output></header>" +
      format("<svg viewBox=\"-1 -1 %d %d\" role=\"img\"><title>a puzzle being refined</title>",
             side + 2, side + 2);
  html += "<g class=\"frame\" data-note=\"givens\">" + grid(t, t.inputs, task) + "</g>";
  for (size_t s = 0; s < t.predictions.size(); ++s) {
    const bool last = s + 1 == t.predictions.size();
    html += format("<g class=\"frame%s\" data-note=\"segment %zu, q_halt %.0f %%\">",
                   last ? " on" : "", s + 1, 100 * t.q_halt[s]) +
            grid(t, t.predictions[s], task) + "</g>";
  }
  return html + format(
                    "</svg><input type=\"range\" min=\"0\" max=\"%zu\" value=\"%zu\" "
                    "aria-label=\"segment\"></div>",
                    t.predictions.size(), t.predictions.size());
}

// Segment strips: every state of a puzzle side by side, for print and at a glance.
std::string strip(const PuzzleTrace& t, const Json& task) {
  const int cells = static_cast<int>(t.inputs.size());
  const int side = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(cells)))) * 30;
  const int gap = 24, n = static_cast<int>(t.predictions.size()) + 1;
  std::string svg = format(
      "<svg class=\"chart\" viewBox=\"-1 -22 %d %d\" role=\"img\"><title>segment by "
      "segment</title>",
      n * (side + gap), side + 26);
  for (int s = 0; s < n; ++s) {
    svg += format("<g transform=\"translate(%d 0)\"><text x=\"0\" y=\"-7\">", s * (side + gap)) +
           (s == 0 ? std::string("givens")
                   : format("segment %d, halt %.0f %%", s, 100 * t.q_halt[s - 1])) +
           "</text>" + grid(t, s == 0 ? t.inputs : t.predictions[s - 1], task) + "</g>";
  }
  return svg + "</svg>";
}

std::string evaluation_section(const Path& run, const Json& task, EvalResult* result) {
  const Path path = run / "evaluation.json";
  if (!fs::exists(path))
    return "<p>There is no evaluation yet: it appears with the first one of the run.</p>";
  *result = eval_result_from_json(read_json(path), path.string());
  const EvalResult& r = *result;
  if (r.count == 0 || r.exact_by_segment.empty() || r.halt_histogram.empty())
    return "<p>The evaluation is empty.</p>";
  std::string html =
      "<h2>Segment by segment</h2><p>The model thinks in segments. Its q head learns when an "
      "answer "
      "is worth stopping for: q_halt should be the chance that the answer is exactly right.</p>" +
      segment_charts(r) + "<div class=\"two\">" + calibration_chart(r) + "</div>";
  if (r.traces.empty()) return html;
  html +=
      "<h2>Puzzles being refined</h2><p>Givens are bold, right cells green, wrong ones marked. "
      "Drag a slider to go through the segments.</p>";
  if (r.traces[0].predictions.size() <= 8) html += strip(r.traces[0], task);
  html += "<div class=\"puzzles\">";
  for (const PuzzleTrace& t : r.traces) html += puzzle_card(t, task);
  return html + "</div>";
}

std::string settings_section(const Json& config) {
  std::string html = "<h2>Settings</h2><div class=\"settings\"><table>";
  for (const char* group : {"model", "train"})
    if (config.contains(group))
      for (const auto& [key, value] : config[group].items())
        html += "<tr><td>" + escape(key) + "</td><td><code>" +
                escape(value.is_string() ? value.get<std::string>() : value.dump()) +
                "</code></td></tr>";
  html += "</table></div>";
  if (config.contains("command"))
    html += "<h2>How to repeat it</h2><p><code>" + escape(config.value("command", "")) +
            "</code></p><p>hrm " + escape(config.value("version", "")) +
            "; the seed is in the settings.</p>";
  return html;
}

std::string tile(const std::string& value, const std::string& what) {
  return "<div class=\"tile\"><b>" + escape(value) + "</b><span>" + escape(what) + "</span></div>";
}

}  // namespace

std::string render_report(const Path& run) {
  read_config(run);  // an Error if this is no run folder
  const Json config = read_json(run / "config.json");
  const Json task = config.value("task", Json::object());
  const Metrics metrics = read_metrics(run / "metrics.jsonl");
  EvalResult result;
  const std::string evaluation = evaluation_section(run, task, &result);

  std::string tiles;
  if (result.count > 0) {
    tiles += tile(format("%.1f %%", 100 * result.exact_accuracy), "solved exactly");
    tiles += tile(format_count(result.count), "held-out puzzles");
  }
  if (!metrics.train.empty()) {
    const Json& last = metrics.train.back();
    const double elapsed = last.value("elapsed", 0.0), samples = last.value("samples", 0.0);
    tiles += tile(format_duration(elapsed), "of training");
    tiles += tile(format_count(static_cast<int64_t>(samples)), "training samples");
    tiles += tile(format("%.0f / s", samples / std::max(elapsed, 1e-9)), "training speed, samples");
  }
  const std::string name =
      config.value("preset", "").empty() ? run.filename().string() : config.value("preset", "");
  return "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>" +
         escape(name) + " - hrm report</title><style>" + kStyle + "</style></head><body><h1>" +
         escape(name) +
         "</h1><p>A Hierarchical Reasoning Model, trained from random weights.</p>"
         "<div class=\"tiles\">" +
         tiles + "</div><h2>Training</h2>" + training_section(metrics) + evaluation +
         settings_section(config) + "<script>" + kScript + "</script></body></html>\n";
}

void write_report(const Path& run) {
  write_file_atomically(run / "report.html", render_report(run));
}

}  // namespace hrm

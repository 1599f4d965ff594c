#include "hrm/view/report.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include <fmt/core.h>

#include "hrm/support/progress.h"
#include "hrm/tasks/registry.h"
#include "hrm/train/run_files.h"
#include "hrm/view/page.h"
#include "hrm/view/puzzle_view.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr const char* kScript = R"js(
for(const p of document.querySelectorAll('.puzzle')){const s=p.querySelector('input'),
f=[...p.querySelectorAll('.frame')],o=p.querySelector('output');
const show=()=>{f.forEach((g,i)=>g.classList.toggle('on',i==s.value));o.textContent=f[s.value].dataset.note};
s.oninput=show;show();}
)js";

std::string training_section(const MetricLines& metrics) {
  if (metrics.train.empty()) return "<p>No training steps are recorded yet.</p>";
  // A lattice has no loss of tokens.
  const bool tokens = metrics.train.back().contains("lm_loss");
  const Curve loss = curve(metrics.train, "samples", tokens ? "lm_loss" : "loss");
  const double x_max = loss.empty() ? 1 : loss.back().x;
  double y_max = 0;
  for (const Point& p : loss) y_max = std::max(y_max, p.y);
  Chart losses(tokens ? "Token loss per puzzle" : "Loss", x_max, y_max, "training samples", false);
  losses.x_ticks();
  losses.line(loss, "train");
  Chart accuracy("Puzzles solved exactly", x_max, 1, "training samples", true);
  accuracy.x_ticks();
  accuracy.line(curve(metrics.train, "samples", "exact_accuracy"), "train");
  const Curve held_out = curve(metrics.eval, "samples", "exact_accuracy");
  accuracy.line(held_out, "eval");
  for (const Point& p : held_out)
    accuracy.dot(p, 3.5, fmt::format("{:.1f} % after {:.0f} samples", 100 * p.y, p.x));
  return "<div class=\"two\">" + losses.str() + accuracy.str() +
         "</div><div class=\"legend\"><i></i>training, puzzles finished in the step"
         "<i class=\"e\"></i>held-out puzzles</div>";
}

// What one refinement of a puzzle is called, and how the report speaks of it.
struct Words {
  const char* unit;   // "segment"
  const char* title;  // of the section
  const char* about;  // what the section begins with
  const char* exact;  // the titles of its charts
  const char* histogram;
};
constexpr Words kSegmentWords = {
    "segment", "Segment by segment",
    "The model thinks in segments. After each one its rule of halting says whether that was "
    "enough: "
    "of a Q head, q_halt should be the chance that the answer is exactly right.",
    "Solved exactly after each segment", "Where the rule says halt"};
constexpr Words kRoundWords = {
    "round", "Round by round",
    "In each round the model strikes out what a cell cannot hold, and guesses a cell. A chain that "
    "meets a conflict starts anew; the first that settles all cells gives the answer.",
    "Solved exactly after each round", "Where the answer came"};

// "segment 3, q_halt 98 %", or what a round did.
std::string note_of(const PuzzleTrace& t, size_t s, const Words& words) {
  if (!t.notes.empty()) return fmt::format("{} {}: {}", words.unit, s + 1, escape_html(t.notes[s]));
  return fmt::format("{} {}, q_halt {:.0f} %", words.unit, s + 1, 100 * t.q_halt[s]);
}

std::string segment_charts(const EvalResult& r, const Words& words) {
  const auto segments = static_cast<double>(r.exact_by_segment.size());
  const int every = r.exact_by_segment.size() > 16 ? static_cast<int>(segments + 7) / 8 : 1;
  Chart exact(words.exact, segments + 1, 1, words.unit, true);
  Chart halts(words.histogram, segments + 1,
              static_cast<double>(std::ranges::max(r.halt_histogram)), words.unit, false);
  for (size_t s = 1; s <= r.exact_by_segment.size(); ++s) {
    const double share = r.exact_by_segment[s - 1];
    const auto x = static_cast<double>(s);
    exact.bar(x, 0.66, share, fmt::format("{} {}: {:.1f} %", words.unit, s, 100 * share));
    const int64_t count = s < r.halt_histogram.size() ? r.halt_histogram[s] : 0;
    halts.bar(x, 0.66, static_cast<double>(count),
              fmt::format("{} {}: {} puzzles", words.unit, s, count));
    if (s % every != 0) continue;
    exact.x_tick(x, std::to_string(s));
    halts.x_tick(x, std::to_string(s));
  }
  return "<div class=\"two\">" + exact.str() + halts.str() + "</div>";
}

std::string calibration_chart(const EvalResult& r) {
  Chart chart("Solved exactly against q_halt", 1, 1, "q_halt probability", true);
  for (const double x : {0.0, 0.25, 0.5, 0.75, 1.0}) chart.x_tick(x, fmt::format("{:.2g}", x));
  chart.line({{0, 0}, {1, 1}}, "faint");
  for (const CalibrationBin& bin : r.calibration) {
    if (!bin.count) continue;
    const double share = static_cast<double>(bin.exact) / static_cast<double>(bin.count);
    const double size =
        3 + 9 * std::sqrt(static_cast<double>(bin.count) / static_cast<double>(r.count));
    chart.dot(
        {bin.q_mean, share}, size,
        fmt::format("q {:.2f}: {:.1f} % of {} puzzles solved", bin.q_mean, 100 * share, bin.count));
  }
  return chart.str();
}

// The puzzles that are drawn: more cells than a person can see on a page are left out.
std::vector<const PuzzleTrace*> drawn_puzzles(const std::vector<PuzzleTrace>& traces) {
  size_t left = 1'000'000;
  std::vector<const PuzzleTrace*> drawn;
  for (const PuzzleTrace& t : traces) {
    const size_t cells = t.inputs.size() * (t.predictions.size() + 1);
    if (cells > left) continue;
    left -= cells;
    drawn.push_back(&t);
  }
  return drawn;
}

std::string puzzle_card(const PuzzleTrace& t, const Task& task, const Words& words) {
  const int side = square_side(std::ssize(t.inputs)) * 30;
  const bool solved = !t.predictions.empty() && is_solved(t, t.predictions.back(), task);
  std::string html =
      "<div class=\"puzzle\"><header><span>" + std::string(solved ? "solved" : "not solved") +
      "</span><output></output></header>" +
      fmt::format(R"(<svg viewBox="-1 -1 {} {}" role="img"><title>a puzzle being refined</title>)",
                  side + 2, side + 2);
  html += "<g class=\"frame\" data-note=\"givens\">" + grid_svg(t, t.inputs, task) + "</g>";
  for (size_t s = 0; s < t.predictions.size(); ++s) {
    const bool last = s + 1 == t.predictions.size();
    html += fmt::format(R"(<g class="frame{}" data-note="{}">)", last ? " on" : "",
                        note_of(t, s, words)) +
            grid_svg(t, t.predictions[s], task) + "</g>";
  }
  return html + fmt::format(R"(</svg><input type="range" min="0" max="{}" value="{}" )"
                            R"(aria-label="{}"></div>)",
                            t.predictions.size(), t.predictions.size(), words.unit);
}

// Segment strips: every state of a puzzle side by side, for print and at a glance.
std::string strip(const PuzzleTrace& t, const Task& task) {
  const int side = square_side(std::ssize(t.inputs)) * 30;
  const int gap = 24, n = static_cast<int>(t.predictions.size()) + 1;
  std::string svg =
      fmt::format(R"(<svg class="chart" viewBox="-1 -22 {} {}" role="img"><title>segment by )"
                  "segment</title>",
                  n * (side + gap), side + 26);
  for (int s = 0; s < n; ++s) {
    svg += fmt::format(R"svg(<g transform="translate({} 0)"><text x="0" y="-7">)svg",
                       s * (side + gap)) +
           (s == 0 ? std::string("givens")
                   : fmt::format("segment {}, halt {:.0f} %", s, 100 * t.q_halt[s - 1])) +
           "</text>" + grid_svg(t, s == 0 ? t.inputs : t.predictions[s - 1], task) + "</g>";
  }
  return svg + "</svg>";
}

std::string evaluation_section(const std::optional<EvalResult>& result, const Task& task,
                               const Words& words) {
  if (!result)
    return "<p>There is no evaluation yet: it appears with the first one of the run.</p>";
  const EvalResult& r = *result;
  if (r.count == 0 || r.exact_by_segment.empty() || r.halt_histogram.empty())
    return "<p>The evaluation is empty.</p>";
  std::string html =
      fmt::format("<h2>{}</h2><p>{}</p>", words.title, words.about) + segment_charts(r, words);
  if (!r.calibration.empty()) html += "<div class=\"two\">" + calibration_chart(r) + "</div>";
  const std::vector<const PuzzleTrace*> drawn = drawn_puzzles(r.traces);
  if (drawn.size() < r.traces.size())
    html += "<p>Puzzles with too many cells or segments to be seen on a page are not drawn.</p>";
  if (drawn.empty()) return html;
  html +=
      "<h2>Puzzles being refined</h2><p>Givens are bold, right cells green, wrong ones marked. "
      "Drag a slider to go through them.</p>";
  if (drawn[0]->predictions.size() <= 8 && drawn[0]->notes.empty()) html += strip(*drawn[0], task);
  html += "<div class=\"puzzles\">";
  for (const PuzzleTrace* t : drawn) html += puzzle_card(*t, task, words);
  return html + "</div>";
}

std::string settings_section(const Members& config) {
  std::string html = "<h2>Settings</h2><div class=\"settings\"><table>";
  for (const char* group : {"model", "train", "lattice"})
    if (config.has(group))
      for (const auto& [key, value] : config.object(group).json().items())
        html += "<tr><td>" + escape_html(key) + "</td><td><code>" +
                escape_html(value.is_string() ? value.get<std::string>() : value.dump()) +
                "</code></td></tr>";
  html += "</table></div>";
  if (config.has("command"))
    html += "<h2>How to repeat it</h2><p><code>" + escape_html(config.text("command")) +
            "</code></p><p>hrm " + escape_html(config.text("version", "")) +
            "; the seed is in the settings.</p>";
  return html;
}

std::string tile(const std::string& value, const std::string& what) {
  return "<div class=\"tile\"><b>" + escape_html(value) + "</b><span>" + escape_html(what) +
         "</span></div>";
}

}  // namespace

std::string report_page(const Json& top, const std::string& source, const std::string& name,
                        const MetricLines& metrics, const std::optional<EvalResult>& result) {
  const Members config(top, source);
  const std::shared_ptr<const Task> task = task_of_run(config);
  std::string tiles;
  if (result && result->count > 0) {
    tiles += tile(fmt::format("{:.1f} %", 100 * result->exact_accuracy), "solved exactly");
    tiles += tile(format_count(result->count), "held-out puzzles");
  }
  if (!metrics.train.empty()) {
    const Json& last = metrics.train.back();
    const double elapsed = last.value("elapsed", 0.0), samples = last.value("samples", 0.0);
    tiles += tile(format_duration(elapsed), "of training");
    tiles += tile(format_count(static_cast<int64_t>(samples)), "training samples");
    tiles += tile(fmt::format("{:.0f} / s", samples / std::max(elapsed, 1e-9)),
                  "training speed, samples");
  }
  const std::string preset = config.text("preset", "");
  const bool lattice = config.has("lattice");
  return html_page((preset.empty() ? name : preset) + " - hrm report",
                   std::string("<p>") +
                       (lattice ? "Lattice deduction" : "A Hierarchical Reasoning Model") +
                       ", trained from random weights.</p>"
                       "<div class=\"tiles\">" +
                       tiles + "</div><h2>Training</h2>" + training_section(metrics) +
                       evaluation_section(result, *task, lattice ? kRoundWords : kSegmentWords) +
                       settings_section(config),
                   kScript);
}

std::string render_report(const Path& run) {
  read_config(run);  // an Error if this is no run folder
  const Path config = run / "config.json", evaluation = run / "evaluation.json";
  std::optional<EvalResult> result;
  if (fs::exists(evaluation))
    result = eval_result_from_json(read_json(evaluation), evaluation.string());
  return report_page(read_json(config), config.string(), run.filename().string(), read_metrics(run),
                     result);
}

void write_report(const Path& run) {
  write_file_atomically(run / "report.html", render_report(run));
}

}  // namespace hrm

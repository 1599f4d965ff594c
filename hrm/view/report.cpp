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

std::string training_section(const MetricLines& metrics) {
  if (metrics.train.empty()) return "<p>No training steps are recorded yet.</p>";
  // A lattice has no loss of tokens.
  const bool tokens = metrics.train.back().contains("lm_loss");
  const Curve loss = curve(metrics.train, "samples", tokens ? "lm_loss" : "loss");
  const double x_max = loss.empty() ? 1 : loss.back().x;
  Chart losses = loss_chart(tokens ? "Token loss per puzzle" : "Loss", {loss}, "training samples");
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
         "</div><div class=\"legend\"><span><i></i>training, puzzles finished in the step</span>"
         "<span><i class=\"e\"></i>held-out puzzles</span></div>";
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
    const Point at = {bin.q_mean, share};
    chart.dot(
        at, size,
        fmt::format("q {:.2f}: {:.1f} % of {} puzzles solved", bin.q_mean, 100 * share, bin.count));
    chart.label(at, size, format_count(bin.count));
  }
  return "<div>" + chart.str() +
         "<p>The numbers say how many puzzles a point stands for.</p></div>";
}

// The puzzles that are drawn: more cells than a person can see on a page are left out.
std::vector<const PuzzleTrace*> drawn_puzzles(const std::vector<PuzzleTrace>& traces) {
  size_t left = 1'000'000;
  std::vector<const PuzzleTrace*> drawn;
  for (const PuzzleTrace& t : traces) {
    const size_t cells = t.inputs.size() * (t.predictions.size() + 2);
    if (cells > left) continue;
    left -= cells;
    drawn.push_back(&t);
  }
  return drawn;
}

// The tokens in the place of a state, if all cells of the answer are supervised.
const std::vector<int>* answer_of(const PuzzleTrace& t) {
  const bool whole = t.labels.size() == t.inputs.size() && std::ranges::min(t.labels) >= 0;
  return whole ? &t.labels : nullptr;
}

bool is_solved(const PuzzleTrace& t, const Task& task) {
  return !t.predictions.empty() && is_solved(t, t.predictions.back(), task);
}

// Nothing in them is right or wrong.
std::string givens_svg(const PuzzleTrace& t, const Task& task) {
  PuzzleTrace givens;
  givens.inputs = t.inputs;
  return grid_svg(givens, t.inputs, task);
}

std::string puzzle_card(const PuzzleTrace& t, const Task& task, const Words& words) {
  const int side = square_side(std::ssize(t.inputs)) * 30;
  const char* state = is_solved(t, task) ? "solved" : "unsolved";
  const std::string name = t.example < 0 ? "a puzzle" : "puzzle " + format_count(t.example);
  std::string html = fmt::format(
      R"(<div class="puzzle" data-state="{0}"><header><span class="{0}">{1}, {2}</span>)"
      R"(</header><div class="grid"><svg viewBox="-1 -1 {3} {3}" role="img"><title>)"
      "{1} being refined</title>",
      state, name, *state == 's' ? "solved" : "not solved", side + 2);
  const auto frame = [&](const std::string& note, const std::string& grid, bool on) {
    html +=
        fmt::format(R"(<g class="frame{}" data-note="{}">)", on ? " on" : "", note) + grid + "</g>";
  };
  frame("givens", givens_svg(t, task), t.predictions.empty());
  for (size_t s = 0; s < t.predictions.size(); ++s)
    frame(note_of(t, s, words), grid_svg(t, t.predictions[s], task), s + 1 == t.predictions.size());
  size_t last = t.predictions.size();
  if (const std::vector<int>* answer = answer_of(t)) {
    frame("the answer", grid_svg(t, *answer, task), false);
    ++last;
  }
  return html + fmt::format(R"(</svg></div><input type="range" min="0" max="{0}" value="{1}" )"
                            R"(aria-label="{2}, {3}"><output aria-live="off"></output>)"
                            R"(<div class="transport"><button type="button" aria-label="Play {2}">)"
                            R"(Play</button></div></div>)",
                            last, t.predictions.size(), name, words.unit);
}

// Every state of a puzzle side by side, for print and at a glance.
std::string strip(const PuzzleTrace& t, const Task& task) {
  const int side = square_side(std::ssize(t.inputs)) * 30;
  std::string html = "<div class=\"strip\">";
  for (size_t s = 0; s <= t.predictions.size(); ++s)
    html += "<figure><figcaption>" +
            (s == 0 ? std::string("givens")
                    : fmt::format("segment {}<br>q_halt {:.0f} %", s, 100 * t.q_halt[s - 1])) +
            fmt::format(R"(</figcaption><div class="grid"><svg viewBox="-1 -1 {0} {0}" role="img">)"
                        "<title>{1}</title>",
                        side + 2, s == 0 ? "givens" : "segment " + std::to_string(s)) +
            (s == 0 ? givens_svg(t, task) : grid_svg(t, t.predictions[s - 1], task)) +
            "</svg></div></figure>";
  return html + "</div>";
}

// Buttons that choose which puzzles are seen, where there are some of both kinds.
std::string puzzle_filter(const std::vector<const PuzzleTrace*>& drawn, const Task& task) {
  const auto solved =
      std::ranges::count_if(drawn, [&](const PuzzleTrace* t) { return is_solved(*t, task); });
  if (solved == 0 || solved == std::ssize(drawn)) return "";
  return fmt::format(
      R"(<div class="row filter" role="group" aria-label="Which puzzles">)"
      R"(<button type="button" data-show="all" aria-pressed="true">all {}</button>)"
      R"(<button type="button" data-show="solved" aria-pressed="false">solved {}</button>)"
      R"(<button type="button" data-show="unsolved" aria-pressed="false">not solved {}</button></div>)",
      drawn.size(), solved, std::ssize(drawn) - solved);
}

std::string puzzles_section(const EvalResult& r, const Task& task, const Words& words) {
  const std::vector<const PuzzleTrace*> drawn = drawn_puzzles(r.traces);
  std::string html;
  if (drawn.size() < r.traces.size())
    html += "<p>Puzzles with too many cells or segments to be seen on a page are not drawn.</p>";
  if (drawn.empty()) return html;
  html +=
      "<h2>Puzzles being refined</h2><p>Some of the held-out puzzles, and where there are any, "
      "some "
      "that are not solved. Go through a puzzle by its slider, or press Play.</p>" +
      grid_legend(task);
  if (drawn[0]->predictions.size() <= 8 && drawn[0]->notes.empty()) html += strip(*drawn[0], task);
  html += puzzle_filter(drawn, task) + "<div class=\"puzzles\">";
  for (const PuzzleTrace* t : drawn) html += puzzle_card(*t, task, words);
  return html + "</div>";
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
  return html + puzzles_section(r, task, words);
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
            "; the seed is in the settings. The numbers of the charts: <code>hrm metrics RUN --csv "
            "FILE</code>.</p>";
  return html;
}

// What the page is about, when and where that was made.
std::string introduction(const Members& config, const Task& task) {
  const std::string preset = config.text("preset", ""), started = config.text("started", ""),
                    machine = config.text("machine", "");
  std::string text = config.has("lattice") ? "Lattice deduction" : "A Hierarchical Reasoning Model";
  if (!preset.empty()) text += " (preset " + preset + ")";
  const std::string init =
      config.has("init") ? config.object("init").text("run", "other weights") : "";
  if (!init.empty())
    text += ", trained on from " + init + ".";
  else
    text += started.empty() ? "." : ", trained from random weights.";  // else imported, or old
  if (!started.empty())
    text += " Begun on " + started + (machine.empty() ? "" : " on " + machine) + ".";
  std::string html = "<p>" + escape_html(text) + "</p>";
  if (task.kind() == "sudoku" && !config.has("lattice"))
    html +=
        "<p>To type puzzles of your own and watch every update of L and H: <code>hrm playground "
        "--run "
        "RUN</code>.</p>";
  return html;
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
  const Words& words = config.has("lattice") ? kRoundWords : kSegmentWords;
  return html_page(name, introduction(config, *task) + "<div class=\"tiles\">" + tiles +
                             "</div><h2>Training</h2>" + training_section(metrics) +
                             evaluation_section(result, *task, words) + settings_section(config));
}

std::string render_report(const Path& run) {
  read_config(run);  // an Error if this is no run folder
  const Path config = run / "config.json", evaluation = run / "evaluation.json";
  std::optional<EvalResult> result;
  if (fs::exists(evaluation))
    result = eval_result_from_json(read_json(evaluation), evaluation.string());
  return report_page(read_json(config), config.string(),
                     fs::weakly_canonical(run).filename().string(), read_metrics(run), result);
}

void write_report(const Path& run) {
  write_file_atomically(run / "report.html", render_report(run));
}

}  // namespace hrm

// hrm compare, hrm metrics: what runs recorded, side by side and for other programs.
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>

#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "hrm/support/progress.h"
#include "hrm/train/run_files.h"
#include "hrm/view/metrics.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

struct Compared {
  std::string name;
  Config config;
  MetricLines lines;
};

std::vector<Compared> read_runs(const char* command, const std::vector<std::string>& folders) {
  std::vector<Compared> runs;
  for (const std::string& folder : folders) {
    runs.push_back({folder, read_config(folder), read_metrics(folder)});
    HRM_CHECK(!runs.back().lines.train.empty(), "[", command, "] ", folder,
              " has no metrics yet. HINT: train it first");
  }
  return runs;
}

// One line for each run; `y` of its evaluations, or of training.
std::string chart_of(const std::vector<Compared>& runs, const std::string& title, const char* x,
                     const std::string& x_label, const char* y, bool eval) {
  std::vector<Curve> curves;
  double x_max = 0;
  for (const Compared& run : runs) {
    curves.push_back(curve(eval ? run.lines.eval : run.lines.train, x, y));
    for (const Point& p : curves.back()) x_max = std::max(x_max, p.x);
  }
  Chart chart = eval ? Chart(title, x_max, 1, x_label, true) : loss_chart(title, curves, x_label);
  chart.x_ticks();
  for (size_t i = 0; i < curves.size(); ++i) {
    chart.line(curves[i], series_class(i));
    if (!eval) continue;
    for (const Point& p : curves[i])
      chart.dot(p, 3, runs[i].name + fmt::format(": {:.4g} at {:.4g}", p.y, p.x), series_class(i));
  }
  return chart.str();
}

// The settings in which the runs differ, one row each.
std::string differences(const std::vector<Compared>& runs) {
  std::string rows;
  std::vector<Json> settings;
  settings.reserve(runs.size());
  for (const Compared& run : runs) settings.push_back(run.config.to_json());
  for (const char* group : {"model", "train", "lattice"}) {
    const auto has_group = [&](const Json& json) { return json.contains(group); };
    const auto first = std::ranges::find_if(settings, has_group);
    if (first == settings.end()) continue;
    const Json of_first = first->at(group);
    for (const auto& [key, value] : of_first.items()) {
      std::vector<std::string> cells = {key};
      bool differs = false;
      for (const Json& json : settings) {
        const Json other = has_group(json) ? json.at(group).value(key, Json()) : Json("-");
        differs |= other != value;
        cells.push_back(other.is_string() ? other.get<std::string>() : other.dump());
      }
      if (differs) rows += table_row(cells);
    }
  }
  return rows;
}

// What runs came to: the last lines of their metrics.
Json results_json(const std::vector<Compared>& runs) {
  Json json = Json::array();
  for (const Compared& run : runs) {
    const Json& last = run.lines.train.back();
    const double samples = last.value("samples", 0.0), seconds = last.value("elapsed", 0.0);
    Json row = {{"run", run.name}, {"samples", samples}, {"seconds", seconds}};
    if (seconds > 0) row["samples_per_second"] = samples / seconds;
    const Json eval = run.lines.eval.empty() ? Json::object() : run.lines.eval.back();
    for (const char* share : {"exact_accuracy", "accuracy"})
      if (eval.contains(share)) row[share] = eval[share];
    json.push_back(row);
  }
  return json;
}

void compare(const std::vector<std::string>& folders, const Path& out, bool json) {
  HRM_CHECK(!json || !is_standard_output(out),
            "[compare] --json and --out would both go to the standard output. HINT: --out FILE");
  const std::vector<Compared> runs = read_runs("compare", folders);
  std::vector<std::string> names, head = {""};
  for (const Compared& run : runs) {
    names.push_back(run.name);
    head.push_back(run.name);
  }
  // A lattice has no loss of tokens.
  const bool tokens =
      std::ranges::none_of(runs, [](const Compared& run) { return run.config.is_lattice(); });
  std::string body = "<div class=\"charts\">" + series_legend(names) + "<div class=\"two\">";
  for (const auto& [x, label] :
       {std::pair{"samples", "training samples"}, {"elapsed", "seconds of training"}}) {
    const std::string by = std::string(", by ") + label;
    body += chart_of(runs, "Solved, held-out" + by, x, label, "exact_accuracy", true);
    body += chart_of(runs, (tokens ? "Token loss" : "Loss") + by, x, label,
                     tokens ? "lm_loss" : "loss", false);
  }
  body += "</div></div><h2>Results</h2><div class=\"wide\"><table>" + table_row(head, true);
  std::FILE* text = json ? stderr : text_beside(out);
  print(text, "{:<28} {:>12} {:>10} {:>9} {:>9} {:>12}\n", "run", "samples", "seconds", "solved",
        "tokens", "samples/s");
  std::vector<std::vector<std::string>> lines = {
      {"samples"}, {"seconds of training"}, {"solved"}, {"tokens right"}, {"samples/s"}};
  for (const Compared& run : runs) {
    const Json& last = run.lines.train.back();
    const Json eval = run.lines.eval.empty() ? Json::object() : run.lines.eval.back();
    const auto share = [&](const char* key) {
      return eval.contains(key) ? fmt::format("{:.1f} %", 100 * eval[key].get<double>())
                                : std::string();
    };
    const double samples = last.value("samples", 0.0), seconds = last.value("elapsed", 0.0);
    const std::vector<std::string> cells = {
        format_count(static_cast<int64_t>(samples)), fmt::format("{:.1f}", seconds),
        share("exact_accuracy"), share("accuracy"), fmt::format("{:.0f}", samples / seconds)};
    for (size_t i = 0; i < cells.size(); ++i) lines[i].push_back(cells[i]);
    print(text, "{:<28} {:>12} {:>10} {:>9} {:>9} {:>12}\n", run.name, cells[0], cells[1], cells[2],
          cells[3], cells[4]);
  }
  for (const auto& line : lines) body += table_row(line);
  body += "</table></div>";
  if (const std::string rows = differences(runs); !rows.empty())
    body += "<h2>Settings that differ</h2><div class=\"wide\"><table>" + table_row(head, true) +
            rows + "</table></div>";
  write_output(out, html_page("Runs side by side", body));
  if (!is_standard_output(out)) print(text, "page {}\n", out.string());
  if (json) print_json(results_json(runs));
}

void write_metrics(const std::string& folder, const std::string& csv,
                   const std::string& tensorboard) {
  const MetricLines lines = read_runs("metrics", {folder})[0].lines;
  HRM_CHECK(!csv.empty() || !tensorboard.empty(),
            "[metrics] nothing to write. HINT: --csv FILE or "
            "--tensorboard FOLDER; the JSON lines are ",
            folder, "/metrics.jsonl");
  if (!csv.empty()) {
    write_output(csv, metrics_csv(lines));
    if (!is_standard_output(csv)) print("{}\n", csv);
  }
  if (tensorboard.empty()) return;
  // The run started when its config.json was written.
  struct stat status {};
  ::stat((Path(folder) / "config.json").c_str(), &status);
  const auto started = static_cast<double>(status.st_mtime);
  const Path file = Path(tensorboard) / fmt::format("events.out.tfevents.{:.0f}.hrm", started);
  create_folder(tensorboard);
  write_file_atomically(file, tensorboard_events(lines, started));
  print(text_beside(csv), "{}\n", file.string());
}

}  // namespace

void add_compare_command(Command app) {
  const Command command =
      app.command("compare", "Show the curves and tables of several runs on one page.");
  auto runs = std::make_shared<std::vector<std::string>>();
  auto out = std::make_shared<std::string>("compare.html");
  command.texts("runs", *runs, "The run folders.").required();
  command.text("--out", *out, "The page to write (default compare.html).");
  auto json = std::make_shared<bool>(false);
  command.flag("--json", *json, kJsonHelp);
  command.action([=] { compare(*runs, *out, *json); });
}

void add_metrics_command(Command app) {
  const Command command =
      app.command("metrics", "Write the metrics of a run as CSV or as TensorBoard events.");
  auto run = std::make_shared<std::string>();
  auto csv = std::make_shared<std::string>();
  auto tensorboard = std::make_shared<std::string>();
  command.text("run", *run, "The run folder.").required();
  command.text("--csv", *csv, "The CSV file to write.");
  command.text("--tensorboard", *tensorboard, "The folder to write an event file in.");
  command.action([=] { write_metrics(*run, *csv, *tensorboard); });
}

}  // namespace hrm

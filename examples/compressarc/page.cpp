#include "examples/compressarc/page.h"

#include <algorithm>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "examples/compressarc/task_fit.h"
#include "hrm/support/progress.h"
#include "hrm/view/page.h"
#include "hrm/view/picture.h"

namespace hrm::compressarc {
namespace {

// Lines that a chart can tell apart by colour.
constexpr size_t kMostLines = 8;
// Changes of the answers that are shown; the latest come last.
constexpr size_t kMostChanges = 20;

// "example, colour, row": what a latent depends on.
std::string axes_of(Subset s) {
  constexpr const char* kNames[] = {"example", "colour", "direction", "row", "column"};
  std::string axes;
  for (int axis = 0; axis < kAxes; ++axis) {
    if (!s.has(static_cast<Axis>(axis))) continue;
    if (!axes.empty()) axes += ", ";
    axes += kNames[axis];
  }
  return axes;
}

// The first steps cost thousands of times what the last do: a chart shows up to `times` the median.
double top_of(std::vector<double> values, double times) {
  std::sort(values.begin(), values.end());
  return std::max(1.0, std::min(values.back(), times * values[values.size() / 2])) * 1.05;
}

std::string costs_chart(const std::vector<FitRecord>& records) {
  Curve kl, reconstruction;
  std::vector<double> values;
  for (const FitRecord& r : records) {
    const auto step = static_cast<double>(r.step);
    kl.push_back({step, r.costs.kl});
    reconstruction.push_back({step, r.costs.reconstruction});
    values.push_back(r.costs.kl);
    values.push_back(r.costs.reconstruction);
  }
  Chart chart("nats: the latents, and the grids given the latents", kl.back().x, top_of(values, 6),
              "step", false);
  chart.x_ticks();
  chart.line(kl, series_class(0));
  chart.line(reconstruction, series_class(1));
  return chart.str() + series_legend({"latents (KL)", "grids (reconstruction)"});
}

// The subsets by what their latents tell in the end, most first.
std::vector<size_t> by_kl(const FitRecord& last) {
  std::vector<size_t> order;
  for (size_t i = 0; i < last.kl_of.size(); ++i) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return last.kl_of[a] > last.kl_of[b]; });
  return order;
}

std::string latents_chart(const std::vector<FitRecord>& records, const std::vector<size_t>& order) {
  const size_t lines = std::min(kMostLines, order.size());
  std::vector<Curve> curves(lines);
  std::vector<std::string> names;
  std::vector<double> values;
  for (size_t i = 0; i < lines; ++i) {
    names.push_back(axes_of(subsets()[order[i]]));
    for (const FitRecord& r : records) {
      if (r.kl_of.empty()) continue;
      curves[i].push_back({static_cast<double>(r.step), r.kl_of[order[i]]});
      values.push_back(r.kl_of[order[i]]);
    }
  }
  Chart chart("nats of each latent", static_cast<double>(records.back().step), top_of(values, 12),
              "step", false);
  chart.x_ticks();
  for (size_t i = 0; i < lines; ++i) chart.line(curves[i], series_class(i));
  return chart.str() + series_legend(names);
}

std::string latents_table(const FitRecord& last, const std::vector<size_t>& order) {
  std::string rows = table_row({"the latent depends on", "nats", "share"}, true);
  for (const size_t i : order)
    rows +=
        table_row({axes_of(subsets()[i]), fmt::format("{:.1f}", last.kl_of[i]),
                   fmt::format("{:.1f} %", 100 * last.kl_of[i] / std::max(last.costs.kl, 1e-9))});
  return fmt::format("<details><summary>All latents in step {}</summary>", last.step) +
         "<div class=\"wide\"><table>" + rows + "</table></div></details>";
}

std::string panel_name(const std::string& name, size_t test, size_t tests) {
  return tests == 1 ? name : "test " + std::to_string(test + 1) + ", " + name;
}

std::string demonstrations(const ArcTask& task) {
  Sheet sheet;
  for (size_t i = 0; i < task.train.size(); ++i)
    sheet.push_back({"demonstration " + std::to_string(i + 1),
                     {{"input", task.train[i].input}, {"output", task.train[i].output, true}}});
  return sheet_figures(sheet);
}

std::string final_answers(const ArcTask& task, const Answer& best, const Answer& second) {
  Sheet sheet;
  for (size_t i = 0; i < task.test.size(); ++i) {
    const ArcGrid& truth = task.test[i].output;
    const auto caption = [&](const char* name, const ArcGrid& grid) {
      return std::string(name) + (truth.empty() ? "" : grid == truth ? " (right)" : " (wrong)");
    };
    SheetRow row{"test " + std::to_string(i + 1), {{"input", task.test[i].input}}};
    row.panels.push_back({caption("attempt 1", best[i]), best[i], true, truth});
    row.panels.push_back({caption("attempt 2", second[i]), second[i], false, truth});
    if (!truth.empty()) row.panels.push_back({"truth", truth});
    sheet.push_back(std::move(row));
  }
  return sheet_figures(sheet);
}

// A row for each record in which one of the two is another than before.
std::string answers_by_step(const std::vector<FitRecord>& records) {
  std::vector<const FitRecord*> changes;
  for (const FitRecord& r : records)
    if (changes.empty() || r.best != changes.back()->best || r.second != changes.back()->second)
      changes.push_back(&r);
  std::string left_out;
  if (changes.size() > kMostChanges) {
    left_out = fmt::format("<p>They changed {} times; these are the last {}.</p>",
                           changes.size() - 1, kMostChanges);
    changes.erase(changes.begin(), changes.end() - kMostChanges);
  }
  Sheet sheet;
  for (const FitRecord* r : changes) {
    SheetRow row{"step " + std::to_string(r->step), {}};
    for (size_t i = 0; i < r->best.size(); ++i) {
      row.panels.push_back({panel_name("attempt 1", i, r->best.size()), r->best[i]});
      row.panels.push_back({panel_name("attempt 2", i, r->best.size()), r->second[i]});
    }
    sheet.push_back(std::move(row));
  }
  return left_out + sheet_figures(sheet);
}

}  // namespace

std::string task_page(const ArcTask& task, const Json& json, const std::string& source) {
  const Members result(json, source);
  const size_t tests = task.test.size();
  const std::vector<FitRecord> records = parse_history(result, tests);
  const Answer best = parse_answer(result.list("best"), tests, source);
  const Answer second = parse_answer(result.list("second"), tests, source);

  std::string body =
      "<p>One small network, fitted to this task alone. Its latents are what it keeps of the task; "
      "it pays for every nat (1.44 bits) that they tell, and for every nat that the grids take "
      "once they are known.</p>";
  body += "<div class=\"tiles\">" +
          tile(format_count(result.integer("steps", 1, 1'000'000'000)), "steps") +
          tile(format_duration(result.number("seconds", 0, 1e12)), "time of the fit");
  if (!records.empty())
    body += tile(fmt::format("{:.0f} nats", records.back().costs.kl),
                 fmt::format("in the latents, step {}", records.back().step)) +
            tile(fmt::format("{:.1f} nats", records.back().costs.reconstruction),
                 "for the grids, in the same step");
  body += "</div><h2>The answers</h2>" + final_answers(task, best, second);
  if (!records.empty()) {
    body += "<h2>What the network found worth storing</h2>";
    const bool parts = !records.back().kl_of.empty();
    const std::vector<size_t> order = by_kl(records.back());
    body += "<div class=\"two\"><div class=\"charts\">" + costs_chart(records) +
            "</div><div class=\"charts\">" + (parts ? latents_chart(records, order) : "") +
            "</div></div>" + (parts ? latents_table(records.back(), order) : "");
    body += "<h2>The answers when they changed, as recorded every 50 steps</h2>" +
            answers_by_step(records);
  }
  body += "<h2>The task</h2>" + demonstrations(task);
  return html_page(task.id + ": one network for one task", body);
}

}  // namespace hrm::compressarc

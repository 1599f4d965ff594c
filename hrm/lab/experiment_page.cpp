#include "hrm/lab/experiment_page.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include <fmt/core.h>

#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "hrm/view/page.h"

namespace hrm::lab {
namespace {

// Values in the order of the table's columns, and how they read.
struct Column {
  const char *value, *title;
  bool share;
};
constexpr Column kColumns[] = {{"exact", "exact", true},
                               {"first", "pass@1", true},
                               {"any", "in any vote", true},
                               {"tokens", "tokens", true},
                               {"valid", "valid", true},
                               {"lost", "right, then wrong", true},
                               {"segments", "segments", false},
                               {"samples", "samples", false},
                               {"train_seconds", "training, s", false}};

bool is_share(const std::string& value) {
  for (const Column& c : kColumns)
    if (value == c.value) return c.share;
  return false;
}

// "81.3 ± 2.1 %".
std::string text_of(const Summary& s, bool share) {
  // Three digits of the mean, and as many decimals of the half width.
  const int decimals =
      share || s.mean == 0 || !std::isfinite(s.mean)
          ? 1
          : std::clamp(2 - static_cast<int>(std::floor(std::log10(std::abs(s.mean)))), 0, 6);
  const auto text_of_value = [&](double v) {
    return fmt::format("{:.{}f}", share ? 100 * v : v, decimals);
  };
  std::string text = text_of_value(s.mean);
  if (!std::isnan(s.half_width) && s.half_width > 0) text += " ± " + text_of_value(s.half_width);
  return text + (share ? " %" : "");
}

std::vector<std::string> names_of_labels(const std::vector<Row>& rows) {
  std::vector<std::string> names;
  for (const Row& r : rows)
    for (const auto& [name, value] : r.labels)
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  // A label that never differs says nothing.
  std::erase_if(names, [&](const std::string& name) {
    return rows.size() > 1 && std::all_of(rows.begin(), rows.end(), [&](const Row& r) {
             return r.label(name) == rows[0].label(name);
           });
  });
  return names;
}

struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> lines;
};
Table table_of(const std::vector<Row>& rows) {
  Table t;
  t.head = names_of_labels(rows);
  const size_t labels = t.head.size();
  std::vector<Column> columns;
  for (const Column& c : kColumns) {
    const bool there = std::any_of(rows.begin(), rows.end(), [&](const Row& r) {
      const auto it = r.values.find(c.value);
      return it != r.values.end() && (it->second.mean != 0 || c.value == kColumns[0].value);
    });
    if (!there) continue;
    columns.push_back(c);
    t.head.push_back(c.title);
  }
  t.head.push_back("models");
  for (const Row& r : rows) {
    std::vector<std::string> line;
    for (size_t i = 0; i < labels; ++i) line.push_back(r.label(t.head[i]));
    int64_t seeds = 0;
    for (const Column& c : columns) {
      const auto it = r.values.find(c.value);
      line.push_back(it == r.values.end() ? "" : text_of(it->second, c.share));
      if (it != r.values.end()) seeds = std::max(seeds, it->second.count);
    }
    line.push_back(std::to_string(seeds));
    t.lines.push_back(line);
  }
  return t;
}

// Characters of UTF-8 text.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string described(const Json& where) {
  std::string text;
  for (const auto& [name, value] : where.items())
    if (!value.is_null())
      text += (text.empty() ? "" : ", ") + name + " " +
              (value.is_string() ? value.get<std::string>() : value.dump());
  return text;
}

// Null if there is none.
const Row* only_row(const std::vector<Row>& rows, const Json& where) {
  const Row* found = nullptr;
  for (const Row& r : rows)
    if (matches(r, where)) {
      if (found) {
        std::string differing;
        for (const std::string& name : names_of_labels({*found, r}))
          differing += (differing.empty() ? "" : ", ") + name;
        detail::fail("[lab] compare: several rows are ", brief(where), "; they differ in ",
                     differing, ". HINT: name these, with null for a label that a row lacks");
      }
      found = &r;
    }
  return found;
}

// "exact: loops 4 against loops 1: 41 puzzles solved more often, 3 less often, p = 1e-8".
std::vector<std::string> comparisons(const Experiment& e, const std::vector<Row>& rows) {
  std::vector<std::string> lines;
  for (const Json& pair : e.compare) {
    HRM_CHECK(pair.is_array() && pair.size() == 2, "[lab] compare: must hold pairs, got ",
              brief(pair));
    const Row *first = only_row(rows, pair[0]), *second = only_row(rows, pair[1]);
    if (e.partial && !(first && second)) continue;
    HRM_CHECK(first && second, "[lab] compare: no row is ", brief(pair[first ? 1 : 0]));
    const Row &a = *first, &b = *second;
    const PairedTest t = paired_test(a.solved, b.solved);
    HRM_CHECK(a.values.contains("exact") && b.values.contains("exact"),
              "[lab] compare: ", brief(pair), " has no share of puzzles solved exactly");
    lines.push_back(described(pair[0]) + " against " + described(pair[1]) + ": " +
                    text_of(a.values.at("exact"), true) + " and " +
                    text_of(b.values.at("exact"), true) + "; of the puzzles " +
                    format_count(t.more_first) + " solved by more seeds, " +
                    format_count(t.more_second) + " by fewer, p = " + fmt::format("{:.2g}", t.p));
  }
  return lines;
}

// The number that a text is, all of it; none if it is another text.
std::optional<double> number_of(const std::string& text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || !std::isfinite(value)) return {};
  return value;
}
bool is_number(const std::string& text) { return number_of(text).has_value(); }

// A chart's lines: the x of every row, by series.
class Drawing {
 public:
  Drawing(const Json& spec, const std::vector<Row>& rows)
      : spec_(spec), y_(spec.value("y", "exact")), x_(spec.value("x", "")) {
    const Json series = spec.value("series", Json::array());
    for (const Row& row : rows) {
      if (!matches(row, spec.value("where", Json::object())) || !row.values.contains(y_)) continue;
      const bool by_label = !row.label(x_).empty();
      if (!by_label && !row.values.contains(x_)) continue;
      labels_x_ = by_label;
      std::string name;
      for (const Json& s : series.is_array() ? series : Json::array({series}))
        name += (name.empty() ? "" : ", ") +
                (is_number(row.label(s)) ? s.get<std::string>() + " " : "") + row.label(s);
      if (!lines_.contains(name)) order_.push_back(name);
      if (by_label &&
          std::find(categories_.begin(), categories_.end(), row.label(x_)) == categories_.end())
        categories_.push_back(row.label(x_));
      lines_[name].push_back(&row);
      ++points_;
    }
    // Numbers in their order.
    numbers_ = std::all_of(categories_.begin(), categories_.end(), is_number);
    if (numbers_)
      std::stable_sort(categories_.begin(), categories_.end(),
                       [](const auto& a, const auto& b) { return number_of(a) < number_of(b); });
  }

  // What a legend names; none if there is nothing to tell apart.
  std::vector<std::string> series() const {
    return order_.size() > 1 ? order_ : std::vector<std::string>();
  }

  std::string html(bool with_legend) const {
    if (lines_.empty()) return "";
    double x_max = 0, y_max = 0;
    for (const auto& [name, rows] : lines_)
      for (const Row* r : rows) {
        const Summary& s = r->values.at(y_);
        y_max = std::max(y_max, s.mean + (std::isnan(s.half_width) ? 0 : s.half_width));
        x_max = std::max(x_max, x_of(*r));
      }
    const Json published = spec_.value("published", Json::object());
    for (const auto& [name, points] : published.items())
      for (const auto& [x, y] : points.items()) y_max = std::max(y_max, y.get<double>());
    if (is_share(y_)) y_max = std::clamp(std::ceil(y_max * 10.5) / 10, 0.1, 1.0);
    if (labels_x_) x_max += 0.5;
    Chart chart(spec_.value("title", ""), x_max, y_max, x_title(), is_share(y_));
    if (labels_x_)
      for (size_t i = 0; i < categories_.size(); ++i)
        chart.x_tick(static_cast<double>(i) + 0.5, categories_[i]);
    else
      chart.x_ticks();
    for (size_t i = 0; i < order_.size(); ++i) draw(chart, order_[i], i);
    for (const auto& [name, points] : published.items()) {
      Curve curve;
      for (size_t i = 0; i < categories_.size(); ++i)
        if (points.contains(categories_[i]))
          curve.push_back({static_cast<double>(i) + 0.5, points[categories_[i]].get<double>()});
      chart.line(curve, "published");
    }
    std::string legend = with_legend && !series().empty() ? series_legend(series()) : "";
    for (const auto& [name, points] : published.items())
      legend +=
          "<div class=\"legend\"><span><i class=\"published\"></i>published: " + escape_html(name) +
          "</span></div>";
    return std::string(with_legend ? "<div class=\"charts\">" : "<div>") + chart.str() + legend +
           "</div>";
  }

 private:
  // Labels stand at equal distances.
  double x_of(const Row& r) const {
    if (!labels_x_) return r.values.at(x_).mean;
    const auto at = std::find(categories_.begin(), categories_.end(), r.label(x_));
    return static_cast<double>(at - categories_.begin()) + 0.5;
  }
  std::string x_title() const {
    for (const Column& c : kColumns)
      if (x_ == c.value) return c.title;
    return x_;
  }
  void draw(Chart& chart, const std::string& name, size_t i) const {
    const std::string css = series_class(i);
    std::vector<const Row*> rows = lines_.at(name);
    std::stable_sort(rows.begin(), rows.end(),
                     [&](const Row* a, const Row* b) { return x_of(*a) < x_of(*b); });
    Curve curve;
    for (const Row* r : rows) {
      const Summary& s = r->values.at(y_);
      curve.push_back({x_of(*r), s.mean});
      if (!std::isnan(s.half_width) && points_ <= 60)  // more would hide the lines
        chart.whisker(x_of(*r), s.mean - s.half_width, s.mean + s.half_width, css);
      if (rows.size() <= 40)
        chart.dot(curve.back(), 3.5, to_string(r->labels) + ": " + text_of(s, is_share(y_)), css);
    }
    if (!labels_x_ || numbers_) chart.line(curve, css);
  }

  const Json& spec_;
  std::string y_, x_;
  bool labels_x_ = false, numbers_ = false;
  int64_t points_ = 0;
  std::map<std::string, std::vector<const Row*>> lines_;
  std::vector<std::string> order_, categories_;
};

// Charts of the same lines share a legend.
std::string charts_of(const Experiment& e, const std::vector<Row>& rows) {
  std::vector<Drawing> drawings;
  for (const Json& chart : e.charts) drawings.emplace_back(chart, rows);
  bool shared = drawings.size() > 1 && !drawings[0].series().empty();
  for (const Drawing& d : drawings) shared &= d.series() == drawings[0].series();
  std::string html = "<div class=\"charts\">";
  if (shared) html += series_legend(drawings[0].series());
  html += "<div class=\"two\">";
  for (const Drawing& d : drawings) html += d.html(!shared);
  return html + "</div></div>";
}

std::string paragraph(const std::string& head, const std::string& text) {
  return text.empty() ? "" : "<p><b>" + head + "</b> " + escape_html(text) + "</p>";
}

// The labels that choose a row's models for --only: not those of its judgement.
std::string choice(const Experiment& e, const Row& row) {
  Labels axes;
  for (const auto& label : row.labels)
    if (!e.trials.empty() && std::any_of(e.trials.begin(), e.trials.end(), [&](const Trial& t) {
          return std::find(t.labels.begin(), t.labels.end(), label) != t.labels.end();
        }))
      axes.push_back(label);
  return to_string(axes);
}

}  // namespace

std::string Row::label(const std::string& name) const {
  for (const auto& [key, value] : labels)
    if (key == name) return value;
  return "";
}

std::vector<Row> summarize(const std::vector<Record>& records,
                           const std::vector<std::string>& average) {
  std::vector<Row> rows;
  std::map<std::string, size_t> index;
  std::vector<std::map<std::string, std::vector<double>>> values;
  for (const Record& r : records) {
    Labels labels = r.labels;
    std::erase_if(labels, [&](const auto& l) { return std::ranges::count(average, l.first) > 0; });
    const auto [it, is_new] = index.try_emplace(to_string(labels), rows.size());
    if (is_new) {
      rows.push_back({labels, {}, {}});
      values.emplace_back();
    }
    for (const auto& [name, value] : r.values) values[it->second][name].push_back(value);
    if (!r.solved.empty()) rows[it->second].solved.push_back(r.solved);
  }
  for (size_t i = 0; i < rows.size(); ++i)
    for (const auto& [name, all] : values[i]) rows[i].values[name] = summarize(all);
  return rows;
}

bool matches(const Row& row, const Json& where) {
  for (const auto& [name, wanted] : where.items()) {
    const std::string has = row.label(name);
    const auto is = [&](const Json& value) {
      return value.is_null() ? has.empty()
                             : has == (value.is_string() ? value.get<std::string>() : value.dump());
    };
    if (!(wanted.is_array() ? std::any_of(wanted.begin(), wanted.end(), is) : is(wanted)))
      return false;
  }
  return true;
}

std::vector<Row> table_rows(const std::vector<Row>& rows) {
  std::vector<Row> kept;
  for (const Row& r : rows)
    if (r.label("segment").empty() && r.label("step").empty() &&
        r.label("rollouts").find_first_of("23456789") == std::string::npos)
      kept.push_back(r);
  return kept;
}

std::string text_table(const Experiment& e, const std::vector<Row>& rows) {
  Table t = table_of(table_rows(rows));
  for (std::string& cell : t.head) cell = printable(cell);
  for (auto& line : t.lines)
    for (std::string& cell : line) cell = printable(cell);
  std::vector<size_t> widths;
  for (size_t c = 0; c < t.head.size(); ++c) {
    widths.push_back(width(t.head[c]));
    for (const auto& line : t.lines) widths[c] = std::max(widths[c], width(line[c]));
  }
  std::string text;
  const auto add = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t c = 0; c < cells.size(); ++c)
      line += cells[c] + std::string(widths[c] - width(cells[c]) + 2, ' ');
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add(t.head);
  for (const auto& line : t.lines) add(line);
  for (const std::string& line : comparisons(e, rows)) text += printable(line) + "\n";
  return text;
}

std::string experiment_page(const Experiment& e, const std::vector<Row>& rows,
                            const std::string& command, const std::string& only) {
  std::string body = paragraph("Question.", e.question) + paragraph("Published.", e.article);
  body += charts_of(e, rows);
  const std::vector<Row> kept = table_rows(rows);
  const Table t = table_of(kept);
  body +=
      "<h2>Results</h2><p>Mean over the models, one for each seed, with the half width of its 95 % "
      "confidence "
      "interval (Student's t).</p><div class=\"wide\"><table>" +
      table_row(t.head, true);
  for (const auto& line : t.lines) body += table_row(line);
  body += "</table></div>";
  const std::vector<std::string> pairs = comparisons(e, rows);
  if (!pairs.empty()) {
    body +=
        "<h2>Paired</h2><p>The same puzzles under two settings, a sign test over puzzles.</p>"
        "<table>";
    for (const std::string& line : pairs) body += table_row({line});
    body += "</table>";
  }
  body += "<h2>How to repeat it</h2><p><code>" +
          escape_html(command + (only.empty() ? "" : " --only '" + only + "'")) +
          "</code></p><details><summary>One point alone</summary><table>";
  std::set<std::string> said;
  for (const Row& r : kept)
    if (const std::string point = choice(e, r); !point.empty() && said.insert(point).second)
      body +=
          "<tr><td><code>" + escape_html(command + " --only '" + point + "'") + "</code></td></tr>";
  body += "</table></details><details><summary>The commands of each model</summary><table>";
  for (const Trial& trial : e.trials) {
    std::string commands = "hrm " + to_string(trial.train);
    for (const Judgement& j : trial.judgements)
      if (!j.words.empty()) commands += "\nhrm " + to_string(j.words);
    body += "<tr><td>" + escape_html(to_string(trial.labels)) + "</td><td><code>" +
            escape_html(commands) + "</code></td></tr>";
  }
  for (const auto& [name, words] : e.data)
    body += "<tr><td>{data:" + escape_html(name) + "}</td><td><code>hrm data " +
            escape_html(to_string(words)) + "</code></td></tr>";
  body += "</table></details>";
  return html_page(e.title, body);
}

}  // namespace hrm::lab

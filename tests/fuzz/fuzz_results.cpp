// Any text as the results.jsonl of an experiment, in a table and on a page, and as what a judgement
// printed.
#include "hrm/lab/experiment_page.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;
using namespace hrm::lab;

void fuzz_one(const std::string& input) {
  static const Json charts = parse_json(
      R"([{"x": "a", "y": "exact", "series": "b", "published": {"p": {"1": 0.5}}},
          {"x": "samples", "y": "exact", "where": {"b": ["1", null]}}])",
      "charts");
  std::vector<Record> records;
  const auto lines = parse_results(
      input, "fuzz", [](const std::string& what) { fuzz::must(what.starts_with('[')); });
  for (const Json& line : lines)
    for (const Json& record : line.at("records")) {
      records.push_back(record_from_json(record));
      fuzz::must(to_json(record_from_json(to_json(records.back()))) == to_json(records.back()));
    }
  fuzz::try_to([&] {
    const Json json = parse_json(input, "fuzz");
    const Record base{{{"a", "1"}}, {}, ""};
    for (const Record& r : judged(base, Members(json, "fuzz"))) {
      fuzz::must(r.label("a") == "1");
      records.push_back(record_from_json(to_json(r)));
    }
  });
  Experiment e;
  e.charts = charts;
  e.compare = parse_json(R"([[{"a": "1"}, {"a": "2"}]])", "compare");
  const std::vector<Row> rows = summarize(records);
  fuzz::try_to([&] { text_table(e, rows); });
  fuzz::try_to([&] { experiment_page(e, rows, "hrm lab run fuzz", ""); });
}

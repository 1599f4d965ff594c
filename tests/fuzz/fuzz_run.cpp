// The files of a run that are shown: config.json, metrics.jsonl and evaluation.json hold any bytes;
// the report, the CSV and the TensorBoard events are made of them.
#include "hrm/view/report.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

void fuzz_one(const std::string& input) {
  const auto files = fuzz::files_of(input);
  const auto file = [&](const char* name) {
    const auto found = files.find(name);
    return found == files.end() ? std::string() : found->second;
  };
  std::optional<EvalResult> result;
  MetricLines metrics;
  fuzz::try_to([&] {
    result = eval_result_from_json(parse_json(file("evaluation.json"), "fuzz"), "fuzz");
    const EvalResult again = eval_result_from_json(to_json(*result), "again");
    fuzz::must(to_json(again) == to_json(*result));
  });
  fuzz::try_to([&] {
    metrics = parse_metrics(file("metrics.jsonl"), "fuzz");
    metrics_csv(metrics);
    tensorboard_events(metrics, 1);
  });
  fuzz::try_to([&] {
    const Json config = parse_json(file("config.json"), "fuzz");
    fuzz::must(!report_page(config, "fuzz", "run", metrics, result).empty());
  });
}

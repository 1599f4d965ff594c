// Any text as the file of an experiment, with and without its full size; and what is accepted drawn
// as a page.
#include "hrm/lab/experiment_page.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;
using namespace hrm::lab;

namespace {

void draw(const Experiment& experiment) {
  std::vector<Record> records;
  for (const Trial& trial : experiment.trials) {
    to_string(trial.train);
    for (const Judgement& j : trial.judgements) to_string(j.words);
    if (records.size() < 20) records.push_back({trial.labels, {{"exact", 0.5}}, "01"});
  }
  const std::vector<Row> rows = summarize(records, experiment.average);
  fuzz::try_to([&] { text_table(experiment, rows); });
  fuzz::try_to([&] { experiment_page(experiment, rows, "hrm lab run fuzz", ""); });
}

// What --only keeps of the models, and what it does not know.
void choose(const Json& json, ExperimentOptions options, const Labels& labels) {
  if (labels.empty()) return;
  const auto& [name, value] = labels[0];
  for (const std::string& only : {name + "=" + value, name + "=" + value + "x", value}) {
    options.only = only;
    fuzz::try_to([&] { fuzz::must(!parse_experiment(json, "fuzz.json", options).trials.empty()); });
  }
}

}  // namespace

void fuzz_one(const std::string& input) {
  for (const bool full : {false, true})
    fuzz::try_to([&] {
      ExperimentOptions options;
      options.full = full;
      options.arc = "/";
      const Json json = parse_json(input, "fuzz");
      const Experiment e = parse_experiment(json, "fuzz.json", options);
      if (e.trials.empty() || e.trials.size() > 100) return;
      draw(e);
      choose(json, options, e.trials[0].labels);
    });
}

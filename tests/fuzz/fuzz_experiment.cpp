// Any text as the file of an experiment, with and without its full size; and what is accepted drawn
// as a page.
#include "hrm/lab/experiment_page.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

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
  fuzz::try_to([&] { experiment_page(experiment, rows, "hrm lab run fuzz"); });
}

}  // namespace

void fuzz_one(const std::string& input) {
  for (const bool full : {false, true})
    fuzz::try_to([&] {
      ExperimentOptions options;
      options.full = full;
      options.arc = "/";
      const Experiment e = parse_experiment(parse_json(input, "fuzz"), "fuzz.json", options);
      if (e.trials.size() <= 100) draw(e);
    });
}

// What an experiment found: a table for the terminal, and a page with charts.
//
//     const auto rows = summarize(records, experiment.average);
//     show(text_table(experiment, table_rows(rows)));
#pragma once

#include "hrm/lab/run_experiment.h"
#include "hrm/lab/statistics.h"

namespace hrm::lab {

// Records that differ in the labels averaged over alone (the seed): the mean of each value. In
// order of first appearance.
struct Row {
  Labels labels;  // without those
  std::map<std::string, Summary> values;
  std::vector<std::string> solved;  // of every seed that has it
  std::string label(const std::string& name) const;
};
std::vector<Row> summarize(const std::vector<Record>& records,
                           const std::vector<std::string>& average = {"seed"});

// {"loops": "4", "evaluation": ["a", "b"]}: whether every label named has this value, or one of
// these. {"segment": null} asks for rows without the label.
bool matches(const Row& row, const Json& where);

// The rows of the table: without those of single segments, of the training curve, and of numbers of
// rollouts between 1, 10, 100.
std::vector<Row> table_rows(const std::vector<Row>& rows);
std::string text_table(const Experiment& experiment, const std::vector<Row>& rows);
// `command` makes the page again; `only` is what its --only says, if it has one.
std::string experiment_page(const Experiment& experiment, const std::vector<Row>& rows,
                            const std::string& command, const std::string& only);

}  // namespace hrm::lab

// What the commands of ARC share: an evaluation that votes, and what it prints and writes.
#pragma once

#include <string>
#include <vector>

#include "hrm/eval/evaluate.h"
#include "hrm/tasks/arc_vote.h"
#include "hrm/view/picture.h"

namespace hrm {

// Evaluates a test split and collects its votes; `progress` draws a bar.
std::vector<TaskOutcome> vote_on(const Model& model, const PuzzleDataset& data, EvalOptions options,
                                 bool progress);
// The names of the tasks of which every test is right with one of its first two answers.
std::vector<std::string> solved_tasks(const std::vector<TaskOutcome>& outcomes);
void print_scores(const std::vector<TaskOutcome>& outcomes);
// The same as JSON; "solved_at_2" has a character for each task, 1 for a solved one.
Json scores_json(const std::vector<TaskOutcome>& outcomes);
// submission.json and predictions.json in the folder `out`, which is made if need be.
void write_predictions(const Path& out, const std::vector<TaskOutcome>& outcomes);
// A row with the demonstrations, then one for each test.
Sheet task_sheet(const ArcTask& task);

}  // namespace hrm

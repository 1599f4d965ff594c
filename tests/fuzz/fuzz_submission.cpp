// Any text as a submission.json: the scores of what is accepted are shares.
#include <nlohmann/json.hpp>

#include "hrm/tasks/arc_vote.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

void fuzz_one(const std::string& input) {
  static const ArcGrid one{1, 2, {1, 2}}, two{2, 1, {3, 4}};
  static const std::vector<ArcTask> tasks = {
      {"a", {{one, two}}, {{one, two}}, true, "set"},
      {"b", {{one, two}}, {{one, two}, {two, one}}, true, "set"},
  };
  fuzz::try_to([&] {
    const auto outcomes = judge_submission(parse_json(input, "fuzz"), tasks, "fuzz");
    const ArcScores s = score_tasks(outcomes);
    to_json(s);
    for (const auto* shares : {&s.all_tests, &s.fraction, &s.outputs})
      for (const double share : *shares) fuzz::must(share >= 0 && share <= 1);
    const auto again = judge_submission(submission(outcomes), tasks, "again");
    fuzz::must(score_tasks(again).outputs == s.outputs);
    for (const TaskOutcome& outcome : outcomes) to_json(outcome);
  });
}

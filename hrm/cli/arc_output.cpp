#include "hrm/cli/arc_output.h"

#include <optional>

#include <nlohmann/json.hpp>

#include "hrm/cli/print.h"
#include "hrm/support/progress.h"
#include "hrm/support/text.h"

namespace hrm {
namespace {

std::string share(double x) { return fmt::format("{:>5.1f} %", 100 * x); }

}  // namespace

std::vector<TaskOutcome> vote_on(const Model& model, const PuzzleDataset& data, EvalOptions options,
                                 bool progress) {
  check_halting(model.config(), options);
  const ArcIndex* index = arc_examples(data);
  std::optional<OfficialArc> official;
  if (!index) index = &official.emplace(data);
  Voting voting(*index);
  Progress bar("predict", "variants");
  if (progress) options.on_progress = bar.callback();
  options.on_answer = [&](const Answer& a) { voting.add(a.example, a.tokens, a.q_halt); };
  evaluate(model, data, options);
  return voting.outcomes();
}

std::vector<std::string> solved_tasks(const std::vector<TaskOutcome>& outcomes) {
  std::vector<std::string> names;
  for (const TaskOutcome& task : outcomes)
    if (std::ranges::all_of(task.tests,
                            [](const TestOutcome& t) { return t.rank == 1 || t.rank == 2; }))
      names.push_back(task.task);
  return names;
}

void print_scores(const std::vector<TaskOutcome>& outcomes) {
  const ArcScores s = score_tasks(outcomes);
  if (s.tasks == 0) {
    print("{} tasks predicted; their answers are not known\n", format_count(std::ssize(outcomes)));
    return;
  }
  print("{} tasks, {} test outputs\n\n{:<11} {:>12} {:>12} {:>12}\n{:<11} {:>12} {:>12} {:>12}\n",
        format_count(s.tasks), format_count(s.tests), "", "all tests of", "mean share", "test", "",
        "a task right", "of tests", "outputs");
  for (size_t k = 0; k < kPassAt.size(); ++k)
    print("pass@{:<6} {:>12} {:>12} {:>12}\n", kPassAt[k], share(s.all_tests[k]),
          share(s.fraction[k]), share(s.outputs[k]));
  print("95 % interval of tasks at pass@2: {} to {}\n", share(s.low), share(s.high));
  std::string list;
  for (const std::string& name : solved_tasks(outcomes)) list += " " + name;
  print("solved at pass@2:{}\n", list.empty() ? " none" : list);
}

Json scores_json(const std::vector<TaskOutcome>& outcomes) {
  Json json = to_json(score_tasks(outcomes));
  std::string solved;
  for (const TaskOutcome& task : outcomes) solved += solved_tasks({task}).empty() ? '0' : '1';
  if (!outcomes.empty()) json["solved_at_2"] = solved;
  return json;
}

void write_predictions(const Path& out, const std::vector<TaskOutcome>& outcomes) {
  create_folder(out);
  Json json = {{"scores", to_json(score_tasks(outcomes))}, {"solved", solved_tasks(outcomes)}};
  json["tasks"] = Json::array();
  for (const TaskOutcome& task : outcomes) json["tasks"].push_back(to_json(task));
  write_file_atomically(out / "submission.json", submission(outcomes).dump() + "\n");
  write_file_atomically(out / "predictions.json", json.dump() + "\n");
}

Sheet task_sheet(const ArcTask& task) {
  Sheet sheet;
  SheetRow demos{"demonstrations", {}};
  for (size_t i = 0; i < task.train.size(); ++i) {
    demos.panels.push_back({"input " + std::to_string(i + 1), task.train[i].input});
    demos.panels.push_back({"output " + std::to_string(i + 1), task.train[i].output, true});
  }
  sheet.push_back(demos);
  for (size_t i = 0; i < task.test.size(); ++i) {
    SheetRow row{"test " + std::to_string(i + 1), {{"input", task.test[i].input}}};
    if (!task.test[i].output.empty()) row.panels.push_back({"truth", task.test[i].output, true});
    sheet.push_back(row);
  }
  return sheet;
}

}  // namespace hrm

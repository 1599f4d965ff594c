#include "hrm/tasks/arc_vote.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

namespace hrm {
namespace {

Json grid_json(const ArcGrid& grid) {
  Json rows = Json::array();
  for (int r = 0; r < grid.height; ++r) {
    Json row = Json::array();
    for (int c = 0; c < grid.width; ++c) row.push_back(grid.at(r, c));
    rows.push_back(row);
  }
  return rows;
}

}  // namespace

void Votes::add(const ArcGrid& grid, double q_halt_logit, int64_t order) {
  Entry& e = entries_.try_emplace(grid, Entry{0, order, 0}).first->second;
  ++e.count;
  ++total_;
  e.q += 1 / (1 + std::exp(-q_halt_logit));
  e.order = std::min(e.order, order);
}

std::vector<Candidate> Votes::ranking() const {
  std::vector<Candidate> all;
  for (const auto& [grid, e] : entries_)
    all.push_back({grid, e.count, e.q / static_cast<double>(e.count), e.order});
  std::ranges::sort(all, {},
                    [](const Candidate& c) { return std::tuple(-c.count, -c.mean_q, c.order); });
  return all;
}

TestOutcome outcome_of(const Votes& votes, const ArcGrid& answer, size_t keep) {
  TestOutcome outcome;
  outcome.best = votes.ranking();
  outcome.votes = votes.total();
  outcome.distinct = std::ssize(outcome.best);
  outcome.known = !answer.empty();
  for (size_t i = 0; outcome.known && i < outcome.best.size(); ++i)
    if (outcome.best[i].grid == answer) outcome.rank = static_cast<int64_t>(i) + 1;
  if (outcome.best.size() > keep) outcome.best.resize(keep);
  return outcome;
}

ArcScores score_tasks(const std::vector<TaskOutcome>& tasks) {
  ArcScores s;
  for (const TaskOutcome& task : tasks) {
    const auto n = static_cast<double>(task.tests.size());
    if (!std::ranges::all_of(task.tests, &TestOutcome::known)) continue;
    ++s.tasks;
    s.tests += std::ssize(task.tests);
    for (size_t k = 0; k < kPassAt.size(); ++k) {
      const auto right = static_cast<double>(std::ranges::count_if(
          task.tests, [&](const auto& t) { return t.rank > 0 && t.rank <= kPassAt[k]; }));
      s.all_tests[k] += right == n;
      s.fraction[k] += right / n;
      s.outputs[k] += right;
    }
  }
  const auto n = static_cast<double>(std::max<int64_t>(1, s.tasks));
  for (size_t k = 0; k < kPassAt.size(); ++k) {
    s.all_tests[k] /= n;
    s.fraction[k] /= n;
    s.outputs[k] /= static_cast<double>(std::max<int64_t>(1, s.tests));
  }
  const double z = 1.959964, p = s.all_tests[1], centre = p + z * z / (2 * n);
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  s.low = std::max(0.0, (centre - half) / (1 + z * z / n));
  s.high = std::min(1.0, (centre + half) / (1 + z * z / n));
  return s;
}

Voting::Voting(const ArcIndex& examples) : examples_(examples) {
  left_.assign(examples.tasks().size(), 0);
  for (int64_t i = 0; i < examples.num_examples(); ++i) ++left_[examples.where(i).task];
}

void Voting::add(int64_t example, const std::vector<int>& tokens, double q_halt_logit) {
  const ArcIndex::Where w = examples_.where(example);
  const std::vector<ArcPair>& pairs = examples_.pairs(w.task);
  std::vector<Votes>& votes = open_.try_emplace(w.task, pairs.size()).first->second;
  const auto [row, col] = examples_.offset(example);
  const ArcGrid grid = crop(tokens.data(), examples_.side(), row, col);
  votes[w.pair].add(examples_.variant(w.task, w.variant).undo(grid), q_halt_logit, example);
  if (--left_[w.task] > 0) return;
  TaskOutcome outcome{examples_.tasks()[w.task].id, {}};
  for (size_t i = 0; i < pairs.size(); ++i)
    outcome.tests.push_back(outcome_of(votes[i], pairs[i].output));
  outcomes_[w.task] = std::move(outcome);
  open_.erase(w.task);
}

std::vector<TaskOutcome> Voting::outcomes() const {
  std::vector<TaskOutcome> all;
  for (const auto& [task, outcome] : outcomes_) all.push_back(outcome);
  return all;
}

std::vector<TaskOutcome> judge_submission(const Json& submission, const std::vector<ArcTask>& tasks,
                                          const std::string& where) {
  HRM_CHECK(submission.is_object(), "[arc] ", where,
            " must be an object with the answers to each task");
  std::vector<TaskOutcome> outcomes;
  for (const ArcTask& task : tasks) {
    if (!task.evaluated) continue;
    HRM_CHECK(submission.contains(task.id), "[arc] ", where, " has no answers to task ", task.id,
              ". HINT: --from with the tasks that it answers alone");
    const Json& answers = submission[task.id];
    HRM_CHECK(answers.is_array() && answers.size() == task.test.size(), "[arc] ", where, ": task ",
              task.id, " has ", task.test.size(),
              " tests and needs a list of as many answers, got ",
              answers.is_array() ? std::to_string(answers.size()) : answers.type_name());
    TaskOutcome outcome{task.id, {}};
    for (size_t i = 0; i < task.test.size(); ++i) {
      HRM_CHECK(!task.test[i].output.empty(), "[arc] test ", i, " of ", task.id, " in ", task.set,
                " has no output to score against");
      Votes votes;
      for (const int64_t k : {1, 2}) {
        const std::string attempt = "attempt_" + std::to_string(k);
        const Json& answer = submission[task.id][i];
        const std::string place = where + ": " + task.id + "[" + std::to_string(i) + "]";
        HRM_CHECK(answer.is_object(), "[arc] ", place, " must hold attempt_1 and attempt_2, got ",
                  brief(answer));
        if (answer.contains(attempt))
          votes.add(parse_grid(answer[attempt], place + "." + attempt), 0, k);
      }
      outcome.tests.push_back(outcome_of(votes, task.test[i].output));
    }
    outcomes.push_back(std::move(outcome));
  }
  HRM_CHECK(!outcomes.empty(), "[arc] there are no evaluated tasks to score ", where, " against");
  return outcomes;
}

Json submission(const std::vector<TaskOutcome>& tasks) {
  Json json = Json::object();
  for (const TaskOutcome& task : tasks)
    for (const TestOutcome& test : task.tests) {
      Json attempts;
      for (const size_t i : {0, 1}) {
        // An empty attempt is a grid of one black cell, a single candidate is handed in twice.
        ArcGrid grid =
            test.best.empty() ? ArcGrid{} : test.best[std::min(i, test.best.size() - 1)].grid;
        if (grid.empty()) grid = {1, 1, {0}};
        attempts["attempt_" + std::to_string(i + 1)] = grid_json(grid);
      }
      json[task.task].push_back(attempts);
    }
  return json;
}

Json to_json(const ArcScores& s) {
  Json json = {{"tasks", s.tasks}, {"tests", s.tests}};
  for (size_t k = 0; k < kPassAt.size(); ++k) {
    const std::string at = "pass@" + std::to_string(kPassAt[k]);
    json[at] = {{"all_tests_of_a_task", s.all_tests[k]},
                {"mean_fraction_of_tests", s.fraction[k]},
                {"test_outputs", s.outputs[k]}};
  }
  json["interval_95_of_all_tests_at_2"] = {s.low, s.high};
  return json;
}

Json to_json(const TaskOutcome& task) {
  Json json = {{"task", task.task}, {"tests", Json::array()}};
  for (const TestOutcome& t : task.tests) {
    Json test = {{"votes", t.votes}, {"distinct", t.distinct}};
    test["rank"] = t.known ? Json(t.rank) : Json();
    test["candidates"] = Json::array();
    for (const Candidate& c : t.best)
      test["candidates"].push_back(
          {{"grid", grid_text(c.grid)}, {"count", c.count}, {"mean_q", c.mean_q}});
    json["tests"].push_back(test);
  }
  return json;
}

}  // namespace hrm

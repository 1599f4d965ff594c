// Votes over the variants of ARC tasks: each prediction is cropped, its variant undone, and equal
// grids counted; what comes first is handed in. (arc_eval.ipynb, evaluators/arc.py.)
//
//     Votes votes;
//     votes.add(grid, q_halt, 0);   // the answer of a variant, turned back, and its logit
//     const std::vector<Candidate> ranking = votes.ranking();
#pragma once

#include <array>
#include <map>

#include "hrm/config.h"
#include "hrm/tasks/arc_dataset.h"

namespace hrm {

inline constexpr std::array<int64_t, 5> kPassAt = {1, 2, 10, 100, 1000};

struct Candidate {
  ArcGrid grid;
  int64_t count = 0;
  double mean_q = 0;  // mean sigmoid(q_halt) of those votes
  int64_t order = 0;  // of equal candidates the one with the smallest comes first
};
// The votes for one test input.
class Votes {
 public:
  void add(const ArcGrid& grid, double q_halt_logit, int64_t order);
  // By (count, mean q), descending.
  std::vector<Candidate> ranking() const;
  int64_t total() const { return total_; }

 private:
  struct Entry {
    int64_t count = 0, order = 0;
    double q = 0;
  };
  std::map<ArcGrid, Entry> entries_;
  int64_t total_ = 0;
};

// What is kept of a test input once its votes are in.
struct TestOutcome {
  std::vector<Candidate> best;  // the first candidates, two or more where there are
  int64_t votes = 0, distinct = 0;
  int64_t rank = 0;    // of the right answer, from 1; 0: not among them, or not known
  bool known = false;  // whether the answer is known
};
TestOutcome outcome_of(const Votes& votes, const ArcGrid& answer, size_t keep = 10);

struct TaskOutcome {
  std::string task;
  std::vector<TestOutcome> tests;
};

// Shares at each of kPassAt, over the tasks whose answers are known.
struct ArcScores {
  int64_t tasks = 0, tests = 0;
  std::array<double, 5> all_tests{};  // tasks with every test right (HRM's notebook, ARC-2's rule)
  std::array<double, 5> fraction{};  // mean over tasks of the share of tests right (TRM, ARC Prize)
  std::array<double, 5> outputs{};   // share of test outputs right (Kaggle)
  // 95 % interval of all_tests at 2 (Wilson).
  double low = 0, high = 0;
};
ArcScores score_tasks(const std::vector<TaskOutcome>& tasks);

// Collects the answers of a test split, task by task as they are complete.
class Voting {
 public:
  explicit Voting(const ArcIndex& examples);
  void add(int64_t example, const std::vector<int>& tokens, double q_halt_logit);
  // Of the complete tasks, in the order of the tasks.
  std::vector<TaskOutcome> outcomes() const;

 private:
  const ArcIndex& examples_;
  std::map<int64_t, std::vector<Votes>> open_;  // votes of tasks that are not complete
  std::vector<int64_t> left_;                   // examples still to come, of each task
  std::map<int64_t, TaskOutcome> outcomes_;
};

// The outcomes of a submission's attempts at evaluated tasks; an Error names a task that it does
// not answer, or whose answers are not known.
std::vector<TaskOutcome> judge_submission(const Json& submission, const std::vector<ArcTask>& tasks,
                                          const std::string& where);
// {"task": [{"attempt_1": grid, "attempt_2": grid}, ... one per test input]}
Json submission(const std::vector<TaskOutcome>& tasks);
Json to_json(const ArcScores& scores);
Json to_json(const TaskOutcome& task);

}  // namespace hrm

// From what the network says in each step to two answers.
//
//     Answers answers(task);
//     for (int64_t step = 0; step < 2000; ++step) answers.add(step, outputs_of_this_step);
//     submit(answers.best(), answers.second());
#pragma once

#include <map>

#include "examples/compressarc/coded_task.h"
#include "hrm/support/json.h"
#include "tensor/io.h"

namespace hrm::compressarc {

// The grids of all tests of a task.
using Answer = std::vector<ArcGrid>;

Json to_json(const Answer& answer);
// An Error that names `where` unless it is one, of so many tests.
Answer parse_answer(const Json& json, size_t tests, const std::string& where);

struct Candidate {
  Answer grids;
  double uncertainty = 0;  // mean over the cells of -log p of their colour
  double score = 0;        // what it adds to the candidate's total
};

// What the network says of the tests' outputs: logits [tests, colours with black, rows, cols],
// row_mask [tests, rows], col_mask [tests, cols].
struct TestOutputs {
  Tensor logits, row_mask, col_mask;
};

// Two candidates a step, one from what the network says in it and one from a moving average. A
// candidate's total is the logarithm of a sum over the steps that proposed it, in which sure ones
// weigh more; the two with the largest are the answers.
class Answers {
 public:
  explicit Answers(CodedTask task) : task_(std::move(task)) {}

  // Step 0 comes first. Returns its candidates.
  std::array<Candidate, 2> add(int64_t step, const TestOutputs& outputs);
  const Answer& best() const { return best_; }
  const Answer& second() const { return second_; }
  double total(const Answer& answer) const;  // -infinity if it was never proposed
  size_t proposed() const { return totals_.size(); }

  // What a file keeps of it: to_json() and averages(). restore() throws one line that names the
  // file if they are not those of such a task, after a step or more.
  Json to_json() const;
  NamedTensors averages() const;
  void restore(const Members& state, const NamedTensors& averages);

 private:
  Candidate read(const TestOutputs& outputs) const;
  Answer possible_answer(const Json& json, const std::string& file) const;
  void count(const Candidate& candidate);

  CodedTask task_;
  TestOutputs average_;
  std::map<Answer, double> totals_;
  Answer best_, second_;
};

}  // namespace hrm::compressarc

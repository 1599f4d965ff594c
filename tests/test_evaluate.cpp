// What an evaluation keeps of single puzzles.
#include "hrm/eval/evaluate.h"
#include "tests/support/local_job.h"
#include "tests/support/small_run.h"

using namespace hrm;
using namespace hrm::test;

namespace {

// The examples of a data set, with other labels.
class Relabelled : public Examples {
 public:
  Relabelled(const PuzzleDataset& data, std::vector<Tokens> labels)
      : data_(data), labels_(std::move(labels)) {
    for (int64_t i = 0; i <= data.num_examples(); ++i) begin_.push_back(i);
  }
  const DatasetInfo& info() const override { return data_.info(); }
  const Task& task() const override { return data_.task(); }
  int64_t input_len() const override { return data_.info().seq_len; }
  bool has_names() const override { return false; }
  std::string puzzle_name(int64_t) const override { return ""; }
  const std::vector<int64_t>& puzzle_begin() const override { return begin_; }
  const std::vector<int64_t>& group_begin() const override { return begin_; }
  Example read(int64_t i) const override {
    Example example = data_.read(i);
    example.labels = labels_[i];
    return example;
  }
  std::string checksums() const override { return ""; }

 private:
  const PuzzleDataset& data_;
  std::vector<Tokens> labels_;
  std::vector<int64_t> begin_;
};

// A model that nothing was taught solves the puzzles whose number `solved` names, because their
// labels are what it answers; the others are off by a cell.
PuzzleDataset partly_solved(const Model& model, const PuzzleDataset& data,
                            const std::function<bool(int64_t)>& solved) {
  std::vector<Tokens> labels(data.num_examples());
  EvalOptions options;
  options.on_answer = [&](const Answer& a) { labels[a.example] = a.tokens; };
  evaluate(model, data, options);
  for (int64_t i = 0; i < std::ssize(labels); ++i)
    if (!solved(i)) labels[i][3] = labels[i][3] == 2 ? 3 : 2;
  return PuzzleDataset(std::make_shared<Relabelled>(data, labels));
}

std::vector<int64_t> numbers_of(const EvalResult& result) {
  std::vector<int64_t> numbers;
  for (const PuzzleTrace& trace : result.traces) numbers.push_back(trace.example);
  return numbers;
}

}  // namespace

TEST_CASE("evaluation keeps the first puzzles that are not solved, whatever the batch") {
  const SmallRun s;
  const auto trainer = s.trainer("failures");
  const PuzzleDataset data = partly_solved(trainer->model(), *s.test, [](int64_t i) {
    return i % 3 != 1;  // not 1, 4, 7, 10, ...
  });
  EvalOptions options;
  options.traces = 3;
  options.failures = 4;
  for (const bool halting : {false, true})
    for (const int64_t batch : {1, 7, 30}) {
      options.batch_size = batch;
      options.halting = halting;
      options.threshold =
          -1e9;  // where it halts, after one segment: the order of the rows is another
      const EvalResult result = evaluate(trainer->model(), data, options);
      CHECK(numbers_of(result).size() == 7);
      if (halting) continue;  // then the answers are others
      CHECK(result.exact_accuracy == doctest::Approx(20 / 30.0));
      CHECK(numbers_of(result) == std::vector<int64_t>{0, 1, 2, 4, 7, 10, 13});
      for (const PuzzleTrace& trace : result.traces) {
        CHECK(trace.predictions.size() == 3);
        CHECK((trace.predictions.back() == trace.labels) == (result.solved[trace.example] == '1'));
      }
      const EvalResult read = eval_result_from_json(to_json(result), "e.json");
      CHECK(numbers_of(read) == numbers_of(result));
    }
  options = {};
  options.traces = 3;
  CHECK(numbers_of(evaluate(trainer->model(), data, options)) == std::vector<int64_t>{0, 1, 2});
  options.failures = 100;  // more than there are
  CHECK(numbers_of(evaluate(trainer->model(), data, options)).size() == 3 + 9);
}

TEST_CASE(
    "evaluation: the first failures are those of the least numbers, not those that end first") {
  FirstFailures failures(2);
  for (const int64_t example : {5, 9, 2, 7}) {
    PuzzleTrace trace;
    trace.example = example;
    failures.keep(trace);
  }
  CHECK(failures.would_keep(3));
  CHECK_FALSE(failures.would_keep(6));
  EvalResult result;
  failures.append_to(result, Communicator());
  CHECK(numbers_of(result) == std::vector<int64_t>{2, 5});
}

TEST_CASE("ranks: an evaluation keeps the same failures on 1, 2 and 3") {
  const SmallRun s;
  const auto trainer = s.trainer("failures");
  const PuzzleDataset data =
      partly_solved(trainer->model(), *s.test, [](int64_t i) { return i < 9 || i > 21; });
  for (const int size : {1, 2, 3}) {
    const std::vector<std::string> errors = run_ranks(size, [&](Communicator ranks) {
      EvalOptions options;
      options.traces = 2;
      options.failures = 4;
      options.batch_size = 4;
      options.ranks = ranks;
      const EvalResult result = evaluate(trainer->model(), data, options);
      CHECK(numbers_of(result) == std::vector<int64_t>{0, 1, 9, 10, 11, 12});
    });
    for (const std::string& error : errors) CHECK(error == "");
  }
}

// The answers to many puzzles, as a file for other programs: what `hrm eval --out` and
// `hrm solve --out` write.
//
//     Predictions predictions(test, model.config().seq_len);
//     options.on_answer = [&](const Answer& answer) { predictions.add(answer); };
//     evaluate(model, test, options);
//     predictions.write("predictions.csv");
#pragma once

#include <vector>

#include "hrm/eval/evaluate.h"
#include "tensor/io.h"

namespace hrm {

class Predictions {
 public:
  // `data`, which must live as long, has the puzzles; its rows may be longer than the answers.
  // `by_rounds`: they come from a lattice, which has no q values.
  Predictions(const PuzzleDataset& data, int64_t seq_len, bool by_rounds = false)
      : data_(data), seq_len_(seq_len), by_rounds_(by_rounds) {}

  // In any order; an example that comes again replaces its answer.
  void add(const Answer& answer);
  // In the order of the examples.
  const std::vector<Answer>& answers() const { return answers_; }

  // One answer: example, puzzle_name (where puzzles have names), puzzle and answer as Task::text,
  // solved (null if the right answer is not known), segments or rounds, q_halt and q_continue (as
  // in Answer, but probabilities).
  Json to_json(const Answer& answer) const;

  // Writes all of them, as the ending of the name says: .jsonl, a line of JSON each (also for -,
  // the standard output, and for pipes and devices with another name); .csv, with the same columns;
  // .npy, the tokens alone, i32 [count, seq_len]. A file appears whole or not at all.
  void write(const Path& file) const;
  // An Error if the name has none of these endings, or its folder is missing: to be asked before
  // the work.
  static void check_name(const Path& file);

 private:
  std::string json_lines() const;
  std::string csv() const;

  const PuzzleDataset& data_;
  int64_t seq_len_;
  bool by_rounds_;
  std::vector<Answer> answers_;
};

}  // namespace hrm

// What an evaluation found. Written to evaluation.json; the report page is drawn from it.
//
//     const std::string file = "runs/mine/evaluation.json";
//     const EvalResult result = eval_result_from_json(read_json(file), file);
//     show(result.exact_accuracy);
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "hrm/config.h"
#include "nn/distributed/communicator.h"

namespace hrm {

// Rows whose final q_halt probability (of rules without q values, their confidence) fell into one
// tenth of [0, 1].
struct CalibrationBin {
  double q_mean = 0;  // mean probability
  int64_t count = 0;
  int64_t exact = 0;  // of which solved
};

// One puzzle, segment by segment.
struct PuzzleTrace {
  std::vector<int> inputs, labels;            // tokens; labels empty if the answer is not known
  std::vector<std::vector<int>> predictions;  // tokens after each segment
  // Probabilities after each segment. Of rules of halting without q values, q_halt is
  // SegmentResult::done (halting fixed: the confidence), and q_continue the rest to 1, as it is
  // where q_halt alone decides.
  std::vector<double> q_halt, q_continue;
  std::vector<std::string> notes = {};  // of a lattice: what each round did, instead of them
  int64_t example = -1;                 // its number in the data set, if that is known
  // The first segment after which the rule of halting says stop, also where it did not; 0: none, or
  // not asked for. Not in files.
  int64_t halts_at = 0;
};

struct EvalResult {
  int64_t step = 0;   // training step of the weights
  int64_t count = 0;  // puzzles
  double accuracy = 0, exact_accuracy = 0;
  double mean_steps = 0;  // segments run per puzzle
  double q_halt_accuracy = 0;
  // Share that the rules call solved; only where a puzzle may have several right answers.
  std::optional<double> valid_accuracy;
  double lost_accuracy = 0;  // right after some segment, wrong in the end
  double seconds = 0;
  std::string solved;  // by example, '1': solved exactly
  std::vector<double> exact_by_segment, accuracy_by_segment;
  std::vector<int64_t> halt_histogram;  // [s]: puzzles that the rule halted first at s
  std::vector<CalibrationBin> calibration;
  std::vector<PuzzleTrace> traces;
};

// The first so many puzzles that are not solved, by their numbers, in whatever order they end.
class FirstFailures {
 public:
  explicit FirstFailures(int64_t most) : most_(most) {}
  // Whether an example would be among them, as far as they are known.
  bool would_keep(int64_t example) const;
  void keep(PuzzleTrace trace);
  // Appends those of all ranks to the traces, on every rank.
  void append_to(EvalResult& result, const Communicator& ranks) const;

 private:
  int64_t most_;
  std::map<int64_t, PuzzleTrace> kept_;  // by example
};

// Makes the counts, sums and traces of a rank's own puzzles those of all puzzles, on every rank,
// before sums become means.
void add_up(EvalResult& sums, const Communicator& ranks);

Json to_json(const EvalResult& result);
// Missing fields keep their defaults. Everything else is checked: types, ranges, and that the lists
// of a trace and of the segments fit each other; an Error names `source` and the field.
EvalResult eval_result_from_json(const Json& json, const std::string& source);

}  // namespace hrm

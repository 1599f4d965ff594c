// Evaluation: every puzzle of a set through the recurrence, with a fixed number of segments or with
// real halting.
//
//     EvalOptions options;
//     options.halting = true;   // a puzzle leaves when the rule of halting says so
//     const EvalResult result = evaluate(model, test, options);
#pragma once

#include <functional>

#include "hrm/data/puzzle_dataset.h"
#include "hrm/eval/eval_result.h"
#include "hrm/model/model.h"

namespace hrm {

// What tells a row to leave. q: the model's own rule (ModelConfig::halting), that is q_halt above
// q_continue by the threshold (halt-only models: q_halt above it), or for another rule
// SegmentResult::done above the rule's own threshold by this one. residual: z_H changed by less
// than the threshold, as |z_H' - z_H| / |z_H'|. confidence: the least sure cell gives its most
// likely token a probability above the threshold (SE-RRM). repeat: its answer is that of the
// segment before. oracle: its answer is right (what the best rule could save).
enum class HaltBy { q, residual, confidence, repeat, oracle };
HRM_ENUM(HaltBy, "q", "residual", "confidence", "repeat", "oracle")

// The last segment of an example.
struct Answer {
  int64_t example = 0;
  std::vector<int> tokens;
  // Logits; of rules without q values those of confidence() and of the rest to 1. 0 for a lattice.
  double q_halt = 0, q_continue = 0;
  double residual = 0;   // with EvalOptions::residuals
  int64_t segments = 0;  // that it took; rounds of a lattice
  bool exact = false;    // the stored answer
  bool solved = false;   // that, or another that is right by the rules of the task
};

struct EvalOptions {
  int64_t batch_size = 256;
  int64_t segments = 0;  // most segments per puzzle; 0: halt_max_steps of the model
  bool halting = false;  // a row leaves when halt_by says so, and the next puzzle enters
  HaltBy halt_by = HaltBy::q;
  double threshold = 0;
  int64_t max_puzzles = 0;  // the first so many of the set; 0: all
  int64_t traces = 0;       // keep the segment-by-segment predictions of the first so many
  int64_t failures = 0;     // and of the first so many behind them that are not solved
  // Gaussian noise on the states a puzzle starts from, or on those of every segment.
  double noise = 0;
  bool noise_every_segment = false;
  uint64_t seed = 0;            // of the noise, or of a lattice's chains
  std::vector<int32_t> rename;  // token -> token, one to one, for inputs and answers; empty: none
  bool residuals = false;       // measure Answer::residual
  // A Q head that gives no number is an Error, unless this is set: a training goes on, its own
  // check of every step says what is wrong.
  bool allow_nan = false;
  std::function<void(int64_t done, int64_t total)> on_progress;  // of this rank's puzzles
  // Every example's last prediction, as above. Several ranks are told of all, at the end and in the
  // order of the examples.
  std::function<void(const Answer&)> on_answer;
  // They share out the puzzles, and all get the result. Means may differ in their last digits from
  // those of one rank, and noise depends on who has which puzzle.
  Communicator ranks;
};

// An Error if the options ask for a rule of halting that the model does not have; evaluate and
// solve_one call it.
void check_halting(const ModelConfig& config, const EvalOptions& options);

// exact_by_segment[s] counts a row that left earlier with its final answer. halt_histogram[s] is
// where the rule said halt first (or the last segment), also when rows do not leave there.
EvalResult evaluate(const Model& model, const PuzzleDataset& data, const EvalOptions& options);

// For an evaluation by several ranks: calls on_answer, on every rank, with the answers of all in
// the order of the examples. `own`: those of this rank.
void tell_answers(std::vector<Answer> own, int64_t seq_len, const EvalOptions& options);

// One puzzle: all segments (or until halting), with predictions and q values of each.
// `inputs`: input_len tokens.
PuzzleTrace solve_one(const Model& model, const std::vector<int>& inputs, int32_t puzzle_id,
                      const EvalOptions& options);

}  // namespace hrm

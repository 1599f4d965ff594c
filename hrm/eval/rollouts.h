// Compute at test time: the same puzzles several times, from disturbed starts or under other names
// of the tokens, and one answer chosen from all. (Probabilistic rollouts; relabelling as in arXiv
// 2601.10679.)
//
//     RolloutOptions options;
//     options.rollouts = 10;
//     options.eval.noise = 0.3;
//     const RolloutResult result = roll_out(model, test, options);
#pragma once

#include <array>

#include "hrm/eval/evaluate.h"

namespace hrm {

// How an answer is chosen. q: the highest q_halt; residual: the state that moved least in the last
// segment; vote: the most frequent answer, of equals the one with the highest mean q_halt; verify:
// the first that keeps the rules of the puzzle, else the first.
enum class RolloutSelection { q, residual, vote, verify };
HRM_ENUM(RolloutSelection, "q", "residual", "vote", "verify")

struct RolloutOptions {
  EvalOptions eval;
  int64_t rollouts = 1;
  // Of each but the first rollout, beside eval.noise: other names for the digits (Sudoku).
  bool relabel = false;
};

// An Error if a task has no digits to rename, or no rules to verify an answer by.
void check_rollouts(const RolloutOptions& options, RolloutSelection select, const Task& task);

struct RolloutResult {
  int64_t puzzles = 0;
  std::vector<int64_t> counts;  // 1, 2, 5, 10, 20, ... and the number of rollouts
  // accuracy[s][i]: share solved exactly when RolloutSelection(s) chooses from the first counts[i];
  // solved: the same puzzle by puzzle, '0' or '1'. Verify is empty where there is no verifier.
  std::array<std::vector<double>, 4> accuracy;
  std::array<std::vector<std::string>, 4> solved;
  std::vector<double> any;  // share of puzzles that some of the first counts[i] solves
  double seconds = 0;
};
RolloutResult roll_out(const Model& model, const PuzzleDataset& data,
                       const RolloutOptions& options);
Json to_json(const RolloutResult& result);
// A table by number of rollouts and choice, and what `select` reached.
std::string describe(const RolloutResult& result, RolloutSelection select);

}  // namespace hrm

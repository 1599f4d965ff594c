// Evaluation: every puzzle of a set through the recurrence, with a fixed number of segments or with
// real halting.
#pragma once

#include <functional>

#include "hrm/data/puzzle_dataset.h"
#include "hrm/eval_result.h"
#include "hrm/model.h"

namespace hrm {

struct EvalOptions {
  int64_t batch_size = 256;
  int64_t segments = 0;     // most segments per puzzle; 0: halt_max_steps of the model
  bool halting = false;     // a row leaves when the q head says so, and the next puzzle enters
  double threshold = 0;     // how much q_halt must exceed q_continue (halt-only models: 0)
  int64_t max_puzzles = 0;  // the first so many of the set; 0: all
  int64_t traces = 0;       // keep the segment-by-segment predictions of the first so many
  std::function<void(int64_t done, int64_t total)> on_progress;
  // Every example's last prediction and its q_halt logit, when it is there.
  std::function<void(int64_t example, const std::vector<int>& tokens, double q_halt)> on_answer;
};

// exact_by_segment[s] counts a row that left earlier with its final answer. halt_histogram[s] is
// where the q head said halt first (or the last segment), also when rows do not leave there.
EvalResult evaluate(const Model& model, const PuzzleDataset& data, const EvalOptions& options);

// One puzzle: all segments (or until halting), with predictions and q values of each.
// `inputs`: input_len tokens.
PuzzleTrace solve_one(const Model& model, const std::vector<int>& inputs, int32_t puzzle_id,
                      const EvalOptions& options);

}  // namespace hrm

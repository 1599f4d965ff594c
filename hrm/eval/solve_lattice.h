// Solving by lattice deduction: several chains of rounds at each puzzle, which differ by what is
// drawn (symmetric copies, dropout, guesses). A chain that meets a conflict starts anew from the
// puzzle; the first that settles all cells gives the answer.
//
//     EvalOptions options;
//     options.segments = 1000;   // rounds
//     const LatticeSolution solution = solve_lattice(network, config, task, puzzle, options);
//     if (solution.settled) show(solution.trace.predictions.back());
#pragma once

#include "hrm/eval/evaluate.h"
#include "hrm/lattice/lattice_model.h"
#include "hrm/lattice/solver_step.h"

namespace hrm {

// Of the settings, the chains and what concerns solving. Of the options: batch_size (chains that
// are computed at once), segments (the most rounds; 0: halt_max_steps), max_puzzles, traces, seed,
// on_progress, ranks and on_answer; the others do not apply. A full answer that Task::refute
// objects to is a conflict. It knows all rules of Sudoku and queens, so that these get no wrong
// answer; a path through a maze may be longer than need be. mean_steps counts rounds,
// exact_by_segment[r - 1] is the share of puzzles that were solved after round r, halt_histogram[r]
// counts those whose answer came in round r.
EvalResult evaluate_lattice(const LatticeModel& model, const Config& config,
                            const PuzzleDataset& data, const EvalOptions& options);

// One puzzle. The trace is that of the chain that gave the answer, or without one of the first,
// since its last start: cells that are not settled hold the puzzle's token.
struct LatticeSolution {
  PuzzleTrace trace;
  bool settled = false;  // a chain has settled all cells
  int64_t chain = 0;     // which
  int64_t chains = 0;    // of how many
  int64_t restarts = 0;  // of all chains
  int64_t rounds = 0;
};
LatticeSolution solve_lattice(const LatticeModel& model, const Config& config, const Task& task,
                              const Tokens& puzzle, const EvalOptions& options);

}  // namespace hrm

// One round of lattice deduction on one state, by what a network says of it: strike out candidates,
// look whether that is a conflict or the answer, or guess a cell. On the host.
//
//     Random random(1);
//     const Move move = solver_step(domain, start, alive, verdict, {}, random);
//     if (move.kind == Move::Kind::solved) show(settled_tokens(alive, puzzle));
#pragma once

#include "hrm/config.h"
#include "hrm/lattice/candidates.h"

namespace hrm {

struct SolverRule {
  double remove_below = 0.1;    // probability that a candidate is right
  double conflict_above = 0.5;  // probability that a cell has lost its right token
  double temperature = 1.5;     // of the softmax that a guess is drawn from
  Guess guess = Guess::random;  // the open cell that it is for
};

// What a network says of one state, as logits: [cells, channels] twice, and one number.
struct Verdict {
  const float* keep = nullptr;    // the candidate is right
  const float* symbol = nullptr;  // the cell's token, before the softmax
  float conflict = 0;             // some cell has lost its right token
};

struct Move {
  // conflict: a cell has no candidate left, or the network says so; solved: all cells have one;
  // guessed: an open cell has been given one of its candidates.
  enum class Kind { conflict, solved, guessed };
  Kind kind = Kind::conflict;
  int64_t removed = 0;  // candidates struck out, without those of the guess
  int64_t cell = -1;    // that was guessed
  int32_t token = -1;   // what it was given
  double conflict_probability = 0;
};

// Changes `alive`; candidates of a cell that `start` gives are never struck out. Verdicts that are
// no numbers strike out nothing.
Move solver_step(const Domain& domain, const Candidates& start, Candidates& alive,
                 const Verdict& verdict, const SolverRule& rule, Random& random);

}  // namespace hrm

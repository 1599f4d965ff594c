// What a lattice deduction refines: for each cell of a puzzle, the tokens that it may still hold.
// They form a lattice under "has no more candidates than", which every deduction goes down.
//
//     const Domain domain = Domain::of(task, 81, 11);
//     Candidates alive = domain.start(puzzle);   // a given has one candidate, a blank has nine
#pragma once

#include <cstdint>
#include <vector>

#include "hrm/data/task.h"
#include "tensor/tensor.h"

namespace hrm {

// One word a cell, row by row: bit t stands for token t.
using Candidates = std::vector<uint32_t>;

// The shape of such states for one kind of puzzle. Channel c of a network stands for token
// first + c.
struct Domain {
  int64_t cells = 0, first = 0, channels = 0;
  const Task* task = nullptr;

  // An Error if puzzles of the kind are not solved by striking out, or are of another size. The
  // task must live as long as the domain.
  static Domain of(const Task& task, int64_t seq_len, int64_t vocab_size);
  // The candidates of a puzzle before any deduction. An Error names a cell that can hold nothing.
  Candidates start(const Tokens& puzzle) const;
  // The symmetry that leaves a puzzle as it is.
  Symmetry identity() const;
  // Sets the channels of a cell to 1 where a candidate is alive and to 0 elsewhere.
  void write(uint32_t candidates, float* channels_of_cell) const;
};

inline bool is_single(uint32_t candidates) {
  return candidates != 0 && (candidates & (candidates - 1)) == 0;
}
// The token of each cell with one candidate; `open` elsewhere (the puzzle's own, for instance).
Tokens settled_tokens(const Candidates& alive, const Tokens& open);
// Whether every cell of `answer` is still possible.
bool contains(const Candidates& alive, const Tokens& answer);

// The candidates of a symmetric copy, and back.
Candidates moved(const Symmetry& symmetry, const Candidates& alive);
Candidates moved_back(const Symmetry& symmetry, const Candidates& copy);

// [states, cells, channels] in f32: 1 where a candidate is alive, and 0 elsewhere.
Tensor to_tensor(const Domain& domain, const std::vector<Candidates>& states);

}  // namespace hrm

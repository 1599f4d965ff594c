// The states that a lattice network is trained on: a pool of puzzles on their way through its own
// solver. A step trains on all of them, then moves each by one round; those that are done or lost
// make room for new ones. (arXiv 2605.08605, section 4.)
//
//     Pool pool(train, domain, config, {0, config.train.batch_size});
//     const LatticeTargets targets = pool.targets(step);   // train on these
//     const PoolMoves moves = pool.advance(step, network.predict(pool.inputs(step), drop));
#pragma once

#include "hrm/data/puzzle_dataset.h"
#include "hrm/lattice/lattice_loss.h"
#include "hrm/lattice/solver_step.h"
#include "nn/distributed/communicator.h"

namespace hrm {

// What a round did to the states.
struct PoolMoves {
  int64_t finished = 0;   // states that made room
  int64_t solved = 0;     // of these, with the right answer
  int64_t rounds = 0;     // of all that made room, how long they were in the pool
  int64_t conflicts = 0;  // states of which it was said rightly whether they hold a conflict
};

class Pool {
 public:
  // Of batch_size states those that are numbered `own`. Every draw follows from the seed, the step
  // and the number of the state. The data and the task of the domain must outlive the pool.
  Pool(const PuzzleDataset& data, const Domain& domain, const Config& config, const Range& own);

  int64_t size() const { return std::ssize(states_); }
  // The states of a step as symmetric copies, with what the network should say of them; symbols()
  // counts the cells whose symbol is asked for.
  LatticeTargets targets(int64_t step);
  int64_t symbols() const { return symbols_; }
  // The same states as other symmetric copies, for the round: f32 [states, cells, channels].
  Tensor inputs(int64_t step);
  // Moves the states of inputs() by what the network says of them, and replaces those that are
  // solved, that hold a conflict which was noticed, or that have been here for lattice_max_age
  // rounds.
  PoolMoves advance(int64_t step, const LatticeHeads& heads);

  // "pool.alive" i32 [states, cells], "pool.example" and "pool.age" i32 [states].
  NamedTensors tensors() const;
  // Takes its own of the tensors of all batch_size states. Throws one line if they are of other
  // data.
  void load(const NamedTensors& saved);

 private:
  struct State {
    int64_t example = 0;
    int64_t age = 0;
    Candidates start, alive;
    Tokens answer;
  };
  State read(int64_t example) const;
  State draw(Random& random) const;
  void fill_in(State& state, double right_share, double wrong_share, Random& random) const;
  Random stream(int64_t step, int64_t state, const char* use) const;
  Symmetry symmetry(Random& random) const;

  const PuzzleDataset& data_;
  Domain domain_;
  Config config_;
  int64_t first_;  // the number of the first state
  std::vector<State> states_;
  std::vector<Symmetry> copies_;  // of inputs()
  int64_t symbols_ = 0;
};

}  // namespace hrm

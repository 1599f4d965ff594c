#include "hrm/train/lattice_pool.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "hrm/train/checkpoint.h"

namespace hrm {
namespace {

// The example of a state as it is in a file.
constexpr int64_t kMostExamples = std::numeric_limits<int32_t>::max();

// A random share of the cells with more than one candidate, in random order; at least one if there
// is any.
std::vector<size_t> some_open_cells(const Candidates& alive, double share, Random& random) {
  std::vector<size_t> open;
  for (size_t cell = 0; cell < alive.size(); ++cell)
    if (!is_single(alive[cell])) open.push_back(cell);
  random.shuffle(open);
  const auto wanted = static_cast<size_t>(std::lround(share * static_cast<double>(open.size())));
  open.resize(std::min(open.size(), std::max<size_t>(1, wanted)));
  return open;
}

// One of the candidates that is not `right`; there are others.
int32_t wrong_token(uint32_t candidates, int32_t right, Random& random) {
  uint32_t others = candidates & ~(uint32_t{1} << right);
  for (int64_t skip = random.below(std::popcount(others)); skip > 0; --skip) others &= others - 1;
  return std::countr_zero(others);
}

}  // namespace

Pool::Pool(const PuzzleDataset& data, const Domain& domain, const Config& config, const Range& own)
    : data_(data), domain_(domain), config_(config), first_(own.begin), states_(own.size()) {
  HRM_CHECK(data.num_examples() > 0 && data.num_examples() <= kMostExamples, "[lattice] ",
            data.folder().string(), " must have 1 to ", kMostExamples, " examples, got ",
            data.num_examples());
  // A bad example is an Error now, not at the step that draws it.
  for (int64_t i = 0; i < data.num_examples(); ++i) read(i);
  for (int64_t i = 0; i < size(); ++i) {
    Random random = stream(0, i, "new");
    states_[i] = draw(random);
  }
}

Random Pool::stream(int64_t step, int64_t state, const char* use) const {
  return Random(static_cast<uint64_t>(config_.train.seed))
      .fork(use)
      .fork(static_cast<uint64_t>(step))
      .fork(static_cast<uint64_t>(first_ + state));
}

Symmetry Pool::symmetry(Random& random) const {
  if (const auto draw = domain_.task->symmetries(); draw && config_.train.augment)
    return draw(random);
  return domain_.identity();
}

// An example before any deduction.
Pool::State Pool::read(int64_t example) const {
  const Example e = data_.read(example);
  State state;
  state.example = example;
  state.start = state.alive = domain_.start(e.inputs);
  state.answer = e.labels;
  for (int64_t cell = 0; cell < domain_.cells; ++cell) {
    const int32_t token = e.labels[cell];
    HRM_CHECK(token >= 0 && token < 32 && (state.start[cell] >> token & 1) == 1, "[lattice] ",
              data_.folder().string(), ": the answer of example ", example + 1, " has token ",
              token, " in cell ", cell + 1, ", where its puzzle does not allow it");
  }
  return state;
}

// Gives a share of the open cells one candidate, a share of these a wrong one.
void Pool::fill_in(State& state, double share, double wrong_share, Random& random) const {
  const std::vector<size_t> cells = some_open_cells(state.alive, share, random);
  const auto filled = static_cast<double>(cells.size());
  const size_t wrong = wrong_share > 0 ? std::max<size_t>(1, std::lround(wrong_share * filled)) : 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    const size_t cell = cells[i];
    const int32_t right = state.answer[cell];
    const int32_t token = i < wrong ? wrong_token(state.alive[cell], right, random) : right;
    state.alive[cell] = uint32_t{1} << token;
  }
}

// A new state: a bare puzzle, or one with cells filled in rightly, or some of them wrongly.
Pool::State Pool::draw(Random& random) const {
  State state = read(random.below(data_.num_examples()));
  const double kind = random.uniform();
  const LatticeConfig& l = config_.lattice;
  if (kind < l.bare_share) return state;
  if (kind < l.bare_share + l.right_share) {
    fill_in(state, random.uniform(), 0, random);
  } else {
    const double share = 0.1 + 0.9 * random.uniform();
    fill_in(state, share, 0.01 + 0.29 * random.uniform(), random);
  }
  return state;
}

LatticeTargets Pool::targets(int64_t step) {
  const int64_t cells = domain_.cells, channels = domain_.channels;
  LatticeTargets t = {empty({size(), cells, channels}), empty({size(), cells, channels}),
                      empty({size(), cells}, DType::i32), empty({size()})};
  symbols_ = 0;
  for (int64_t i = 0; i < size(); ++i) {
    Random random = stream(step, i, "targets");
    const Symmetry copy = symmetry(random);
    const State& state = states_[i];
    const Candidates start = moved(copy, state.start), alive = moved(copy, state.alive);
    Tokens answer = state.answer;
    copy.apply(answer.data());
    const bool lost = !contains(alive, answer);
    t.conflict.data<float>()[i] = lost ? 1 : 0;
    for (int64_t cell = 0; cell < cells; ++cell) {
      const int64_t at = i * cells + cell;
      domain_.write(alive[cell], t.alive.data<float>() + at * channels);
      domain_.write(alive[cell] & uint32_t{1} << answer[cell],
                    t.keep.data<float>() + at * channels);
      const bool asked = !lost && !is_single(start[cell]);
      t.symbol.data<int32_t>()[at] =
          asked ? answer[cell] - static_cast<int32_t>(domain_.first) : kIgnoreLabel;
      symbols_ += asked;
    }
  }
  return t;
}

Tensor Pool::inputs(int64_t step) {
  std::vector<Candidates> copies;
  copies_.clear();
  for (int64_t i = 0; i < size(); ++i) {
    Random random = stream(step, i, "round");
    copies_.push_back(symmetry(random));
    copies.push_back(moved(copies_.back(), states_[i].alive));
  }
  return to_tensor(domain_, copies);
}

PoolMoves Pool::advance(int64_t step, const LatticeHeads& heads) {
  const LatticeConfig& l = config_.lattice;
  HRM_CHECK(std::ssize(copies_) == size(),
            "[lattice] a round needs targets() or inputs() before it");
  const SolverRule rule = {l.remove_below, l.conflict_above, l.temperature, Guess::random};
  const Tensor keep = heads.keep.to(DType::f32).to(Device::cpu);
  const Tensor symbol = heads.symbol.to(DType::f32).to(Device::cpu);
  const Tensor conflict = heads.conflict.to(DType::f32).to(Device::cpu);
  const int64_t logits = domain_.cells * domain_.channels;
  PoolMoves moves;
  for (int64_t i = 0; i < size(); ++i) {
    State& state = states_[i];
    const bool was_lost = !contains(state.alive, state.answer);
    Random random = stream(step, i, "move");
    Candidates alive = moved(copies_[i], state.alive);
    const Verdict verdict = {keep.data<float>() + i * logits, symbol.data<float>() + i * logits,
                             conflict.data<float>()[i]};
    const Move move =
        solver_step(domain_, moved(copies_[i], state.start), alive, verdict, rule, random);
    moves.conflicts += (move.conflict_probability > rule.conflict_above) == was_lost;
    state.alive = moved_back(copies_[i], alive);
    ++state.age;
    const bool lost = !contains(state.alive, state.answer);
    const bool solved = move.kind == Move::Kind::solved && !lost;
    const bool noticed = move.kind == Move::Kind::conflict && lost;
    if (!solved && !noticed && state.age < l.max_age) continue;
    ++moves.finished;
    moves.solved += solved;
    moves.rounds += state.age;
    state = draw(random);
  }
  return moves;
}

NamedTensors Pool::tensors() const {
  std::vector<int32_t> alive, example, age;
  for (const State& state : states_) {
    for (const uint32_t candidates : state.alive) alive.push_back(static_cast<int32_t>(candidates));
    example.push_back(static_cast<int32_t>(state.example));
    age.push_back(static_cast<int32_t>(state.age));
  }
  return {{"pool.alive", from_vector(alive, {size(), domain_.cells})},
          {"pool.example", from_vector(example, {size()})},
          {"pool.age", from_vector(age, {size()})}};
}

void Pool::load(const NamedTensors& saved) {
  NamedTensors own = tensors();
  for (auto& [name, tensor] : own) {
    Tensor all = empty(tensor.shape().with(0, config_.train.batch_size), tensor.dtype());
    load_saved(saved, name, all);
    tensor.copy_from(all.slice(0, first_, first_ + size()));
  }
  const int32_t* alive = own[0].second.data<int32_t>();
  for (int64_t i = 0; i < size(); ++i) {
    const int64_t example = own[1].second.data<int32_t>()[i];
    HRM_CHECK(example >= 0 && example < data_.num_examples(), "[lattice] state ", first_ + i + 1,
              " of the pool must be of an example in 0..", data_.num_examples() - 1, ", got ",
              example);
    State state = read(example);
    state.age = own[2].second.data<int32_t>()[i];
    HRM_CHECK(state.age >= 0 && state.age < config_.lattice.max_age, "[lattice] state ",
              first_ + i + 1, " of the pool must have an age in 0..", config_.lattice.max_age - 1,
              ", got ", state.age);
    for (int64_t cell = 0; cell < domain_.cells; ++cell) {
      state.alive[cell] = static_cast<uint32_t>(alive[i * domain_.cells + cell]);
      HRM_CHECK((state.alive[cell] & ~state.start[cell]) == 0, "[lattice] state ", first_ + i + 1,
                " of the pool has candidates in cell ", cell + 1, " that its puzzle has not");
    }
    states_[i] = std::move(state);
  }
}

}  // namespace hrm

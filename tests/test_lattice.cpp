// Lattice deduction: candidates, a round of the solver, the network and its loss, the pool, and
// trainings with all of them.
#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/eval/solve_lattice.h"
#include "hrm/tasks/maze.h"
#include "hrm/tasks/maze_task.h"
#include "hrm/tasks/registry.h"
#include "hrm/tasks/sudoku_task.h"
#include "hrm/train/lattice_pool.h"
#include "hrm/train/lattice_step.h"
#include "hrm/train/run_files.h"
#include "tests/support/local_job.h"
#include "tests/support/small_run.h"

using namespace hrm;
using namespace hrm::test;

namespace {

const SudokuTask kSudoku4(SudokuRules::of_side(4));

Domain sudoku4() { return Domain::of(kSudoku4, 16, 6); }

// The setting `lattice4`, so small that a step takes milliseconds.
Config tiny_lattice() {
  Config config = preset("lattice4");
  config.model.hidden_size = 16;
  config.model.num_heads = 2;
  config.model.expansion = 2;
  config.model.dtype = DType::f32;
  config.model.halt_max_steps = 6;
  config.train.batch_size = 8;
  config.train.total_steps = 12;
  config.train.checkpoint_every = 4;
  config.train.eval_every = 5;
  config.train.lr_warmup_steps = 3;
  config.train.eval_puzzles = 6;
  config.train.final_eval_puzzles = -1;
  config.train.micro_batches = 2;
  config.train.ema = 0.9;
  config.lattice.loops = 2;
  config.lattice.layers = 1;
  config.lattice.chains = 3;
  config.lattice.max_age = 5;
  return config;
}

// A data set of 4x4 puzzles and a lattice that trains on it.
struct SmallLattice : SmallRun {
  SmallLattice() {
    const std::string data = config.data;
    config = tiny_lattice();
    config.data = data;
  }
};

// What a network would say that knows the answer: logits of +-9.
struct Oracle {
  Oracle(const Domain& domain, const Tokens& answer)
      : keep(domain.cells * domain.channels, -9), symbol(keep) {
    for (int64_t cell = 0; cell < domain.cells; ++cell)
      keep[cell * domain.channels + answer[cell] - domain.first] = 9;
    symbol = keep;
  }
  Verdict verdict() const { return {keep.data(), symbol.data(), -9}; }
  std::vector<float> keep, symbol;
};

double max_difference(const Tensor& a, const Tensor& b) {
  return max(reshape(abs(a - b), {-1}), 0).to_vector()[0];
}

Tensor random_states(const Domain& domain, int64_t rows, Random& random) {
  std::vector<Candidates> states(rows, Candidates(domain.cells));
  for (Candidates& alive : states)
    for (uint32_t& c : alive)
      c = static_cast<uint32_t>(1 + random.below((1 << domain.channels) - 1)) << domain.first;
  return to_tensor(domain, states);
}

}  // namespace

TEST_CASE("lattice: a puzzle starts with all that its cells may hold") {
  const Domain domain = sudoku4();
  CHECK(domain.first == 2);
  CHECK(domain.channels == 4);
  const Tokens puzzle = kSudoku4.parse("12.434..21..43.1");
  const Candidates start = domain.start(puzzle);
  CHECK(start[0] == 1u << 2);  // the digit 1 is token 2
  CHECK(start[2] == 0b111100u);
  CHECK(settled_tokens(start, puzzle) == puzzle);
  const Tokens answer = kSudoku4.solution(puzzle);
  CHECK(contains(start, answer));
  const float expected[] = {0, 1, 0, 1};
  std::array<float, 4> channels{};
  domain.write(0b101000u, channels.data());
  CHECK(std::ranges::equal(channels, expected));

  const MazeTask maze(2);
  const Domain of_maze = Domain::of(maze, 4, kMazeVocab);
  CHECK(of_maze.first == 1);
  CHECK(of_maze.channels == 5);
  CHECK(of_maze.start(maze.parse("S #G"))[1] == (1u << 2 | 1u << 5));
  expect_error([&] { of_maze.start({3, 0, 1, 4}); }, "cell 2 of a puzzle holds token 0");
  expect_error([&] { of_maze.start({3, 5, 1, 4}); }, "cell 2 of a puzzle holds token 5");
  expect_error([&] { Domain::of(kSudoku4, 36, 8); }, "sudoku with 36 cells are not solved by");
  expect_error([&] { Domain::of(*unknown_task(), 16, 6); }, "HINT: a preset of HRM");
}

TEST_CASE("lattice: candidates move with a symmetry, and back") {
  Random random(5);
  for (const int side : {4, 6, 9}) {
    const SudokuTask task(SudokuRules::of_side(side));
    const Domain domain = Domain::of(task, side * side, side + 2);
    const Tokens answer = to_tokens(random_solution(SudokuRules::of_side(side), random));
    Candidates alive(domain.cells);
    for (uint32_t& c : alive) c = static_cast<uint32_t>(random.below(1 << side)) << 2;
    for (int i = 0; i < 20; ++i) {
      const Symmetry symmetry = task.symmetries()(random);
      const Candidates copy = moved(symmetry, alive);
      CHECK(moved_back(symmetry, copy) == alive);
      Tokens answer_copy = answer;
      symmetry.apply(answer_copy.data());
      // A cell holds its right token in the copy exactly if it does in the original.
      for (int64_t cell = 0; cell < domain.cells; ++cell)
        CHECK((copy[cell] >> answer_copy[cell] & 1) ==
              (alive[symmetry.source[cell]] >> answer[symmetry.source[cell]] & 1));
    }
  }
}

TEST_CASE("lattice: a round strikes out, never of givens, and knows the answer") {
  const Domain domain = sudoku4();
  const Tokens puzzle = kSudoku4.parse("12.434..21..43.1"), answer = kSudoku4.solution(puzzle);
  const Candidates start = domain.start(puzzle);
  Random random(1);

  Oracle oracle(domain, answer);
  Candidates alive = start;
  Move move = solver_step(domain, start, alive, oracle.verdict(), {}, random);
  CHECK(move.kind == Move::Kind::solved);
  CHECK(move.removed == 3 * std::ranges::count(puzzle, 1));
  CHECK(settled_tokens(alive, puzzle) == answer);

  // A network that would strike out everything leaves the givens.
  std::ranges::fill(oracle.keep, -9.0f);
  alive = start;
  move = solver_step(domain, start, alive, oracle.verdict(), {}, random);
  CHECK(move.kind == Move::Kind::conflict);
  for (size_t cell = 0; cell < alive.size(); ++cell)
    CHECK(alive[cell] == (is_single(start[cell]) ? start[cell] : 0));

  // Just above and below the threshold: sigmoid(-2.2) = 0.0998, sigmoid(-2.19) = 0.1007.
  std::ranges::fill(oracle.keep, -2.19f);
  oracle.keep[2 * 4 + 1] = -2.2f;
  alive = start;
  move = solver_step(domain, start, alive, oracle.verdict(), {}, random);
  CHECK(move.removed == 1);
  // A conflict that is only said, and one that is said not surely enough.
  std::ranges::fill(oracle.keep, 9.0f);
  for (const float logit : {0.1f, -0.1f}) {
    alive = start;
    Verdict verdict = oracle.verdict();
    verdict.conflict = logit;
    move = solver_step(domain, start, alive, verdict, {}, random);
    CHECK((move.kind == Move::Kind::conflict) == (logit > 0));
  }
  // What is no number strikes out nothing.
  std::ranges::fill(oracle.keep, std::nanf(""));
  alive = start;
  CHECK(solver_step(domain, start, alive, oracle.verdict(), {}, random).removed == 0);
}

TEST_CASE("lattice: guesses go to open cells alike, and follow the softmax among candidates") {
  const Domain domain = sudoku4();
  const Candidates start = domain.start(kSudoku4.parse("12.434..21..43.1"));
  std::vector<float> keep(64, 9), symbol(64, 0);
  // In cell 2 the digits 1, 3 and 4 are left, with chances 1 : 4 : 2 at temperature 1.5.
  keep[2 * 4 + 1] = -9;
  for (const auto& [channel, chance] : {std::pair{0, 1.0}, {1, 9.0}, {2, 4.0}, {3, 2.0}})
    symbol[2 * 4 + channel] = static_cast<float>(1.5 * std::log(chance));
  std::map<int64_t, int> cells;
  std::map<int32_t, int> tokens;
  Random random(3);
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    Candidates alive = start;
    const Move move =
        solver_step(domain, start, alive, {keep.data(), symbol.data(), -9}, {}, random);
    REQUIRE(move.kind == Move::Kind::guessed);
    REQUIRE(alive[move.cell] == 1u << move.token);
    ++cells[move.cell];
    if (move.cell == 2) ++tokens[move.token];
  }
  const auto open = std::ranges::count_if(start, [](uint32_t c) { return !is_single(c); });
  CHECK(std::ssize(cells) == open);
  for (const auto& [cell, count] : cells) {
    CHECK_FALSE(is_single(start[cell]));
    CHECK(count == doctest::Approx(kDraws / static_cast<double>(open)).epsilon(0.1));
  }
  CHECK(tokens.size() == 3);
  for (const auto& [token, share] : {std::pair{2, 1 / 7.0}, {4, 4 / 7.0}, {5, 2 / 7.0}})
    CHECK(tokens[token] == doctest::Approx(cells[2] * share).epsilon(0.12));
}

TEST_CASE("lattice: the surest guess is for the cell whose most likely candidate is most likely") {
  const Domain domain = sudoku4();
  const Candidates start = domain.start(kSudoku4.parse("12.434..21..43.1"));
  const std::vector<float> keep(64, 9);
  std::vector<float> symbol(64, 0);
  symbol[2 * 4 + 1] = 2;   // a little sure
  symbol[6 * 4 + 2] = 9;   // very sure
  symbol[0 * 4 + 3] = 99;  // a given
  const SolverRule rule = {.temperature = 0.01, .guess = Guess::surest};
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    Candidates alive = start;
    const Verdict verdict = {keep.data(), symbol.data(), -9};
    Move move = solver_step(domain, start, alive, verdict, rule, random);
    CHECK(move.cell == 6);
    CHECK(move.token == domain.first + 2);
    move = solver_step(domain, start, alive, verdict, rule, random);
    CHECK(move.cell == 2);
  }
  // Only candidates that are alive count: without the likely one, cell 6 is no surer than others.
  Candidates alive = start;
  alive[6] &= ~(1u << (domain.first + 2));
  Random random(1);
  CHECK(solver_step(domain, start, alive, {keep.data(), symbol.data(), -9}, rule, random).cell ==
        2);
}

TEST_CASE("lattice: the last loop of forward is what predict says, on every device") {
  const Domain domain = sudoku4();
  struct Variant {
    PosEncoding positions;
    Rope rope;
    bool mlp_t;
  };
  for (const auto& [positions, rope, mlp_t] : {Variant{PosEncoding::learned, Rope::flat, false},
                                               {PosEncoding::none, Rope::flat, false},
                                               {PosEncoding::rope, Rope::grid, false},
                                               {PosEncoding::learned_and_rope, Rope::grid, false},
                                               {PosEncoding::none, Rope::flat, true}}) {
    Config config = tiny_lattice();
    config.model.pos_encodings = positions;
    config.model.rope = rope;
    config.model.mlp_t = mlp_t;
    config.validate();
    for (const Device device : devices()) {
      Random random(2);
      const LatticeModel model(config, domain.channels, &random, device);
      const Tensor alive = random_states(domain, 6, random).to(device);
      const LatticeHeads all = model.forward(alive, {}), last = model.predict(alive, {});
      CHECK(all.keep.shape() == Shape{2 * 6, 16, 4});
      CHECK(all.conflict.shape() == Shape{2 * 6});
      for (const auto& [whole, part] : {std::pair{all.keep, last.keep},
                                        {all.symbol, last.symbol},
                                        {all.conflict, last.conflict}}) {
        CHECK(max_difference(whole.slice(0, 6, 12), part) < 1e-5);
        CHECK(max_difference(whole.slice(0, 0, 6), part) > 1e-3);  // the first loop says another
      }
      // Where a cell lies matters only with positions.
      if (device != Device::cpu) continue;
      const Tensor bare = to_tensor(domain, {domain.start(Tokens(16, 1))});
      const Tensor keep = model.predict(bare, {}).keep;
      const double spread = max_difference(keep.slice(1, 0, 1), keep.slice(1, 5, 6));
      CHECK((spread > 1e-4) == (positions != PosEncoding::none || mlp_t));
    }
  }
}

TEST_CASE("lattice: learned positions beside angles are both of them") {
  const Domain domain = sudoku4();
  Config config = tiny_lattice();
  config.model.rope = Rope::grid;
  Random random(2);
  const auto with = [&](PosEncoding positions) {
    config.model.pos_encodings = positions;
    return std::make_unique<LatticeModel>(config, domain.channels, &random);
  };
  const auto both = with(PosEncoding::learned_and_rope), angles = with(PosEncoding::rope);
  const auto learned = with(PosEncoding::learned);
  const Tensor alive = random_states(domain, 3, random);
  const auto keep = [&](const LatticeModel& model) { return model.predict(alive, {}).keep; };
  learned->load_state_dict(both->state_dict());
  CHECK(max_difference(keep(*both), keep(*learned)) > 1e-3);
  // Without its learned vectors it is a model with angles alone.
  const auto weights = both->named_parameters();
  for (const auto& [name, p] : angles->named_parameters())
    for (const auto& [other, value] : weights)
      if (other == name) p->value.detach().copy_from(value->value.detach());
  CHECK(max_difference(keep(*both), keep(*angles)) > 1e-3);
  both->row_emb->weight.value.detach().copy_from(zeros(both->row_emb->weight.value.shape()));
  both->col_emb->weight.value.detach().copy_from(zeros(both->col_emb->weight.value.shape()));
  CHECK(max_difference(keep(*both), keep(*angles)) < 1e-5);
}

TEST_CASE("lattice: the networks have the published sizes") {
  const Config maze = preset("lattice-maze30");
  Config sudoku = preset("lattice9");
  sudoku.model.mlp_t = false;
  sudoku.lattice.layers = LatticeConfig().layers;
  CHECK(LatticeModel(maze, 5, nullptr).parameter_count() == doctest::Approx(1.8e6).epsilon(0.02));
  CHECK(LatticeModel(sudoku, 9, nullptr).parameter_count() == doctest::Approx(0.8e6).epsilon(0.02));
}

TEST_CASE("lattice: two loops, written out") {
  const Domain domain = sudoku4();
  Config config = tiny_lattice();
  config.model.pos_encodings = PosEncoding::learned;
  config.model.rope = Rope::flat;
  config.lattice.conflict_head = ConflictHead::cls;
  Random random(2);
  const LatticeModel model(config, domain.channels, &random);
  const Tensor alive = random_states(domain, 3, random);
  const NoGradGuard no_grad;
  std::vector<int32_t> rows, cols;
  for (int32_t cell = 0; cell < 16; ++cell) {
    rows.push_back(cell / 4);
    cols.push_back(cell % 4);
  }
  const Tensor position = model.row_emb->forward(from_vector(rows, {16}), 1) +
                          model.col_emb->forward(from_vector(cols, {16}), 1);
  const Tensor first = model.cls.forward(zeros({3, 1}, DType::i32), 1);
  const auto loop = [&](const Tensor& cells) {
    DropoutStream none;
    const Tensor in = concat({first, cells}, 1);
    const Tensor out =
        model.layers[0]->forward(concat({first, cells + position}, 1), nullptr, none);
    return model.loop_norm.forward(in + out);
  };
  const Tensor h0 = model.embed.forward(alive);
  const Tensor once = loop(h0), twice = loop(slice(once, 1, 1, 17) + h0);
  const LatticeHeads heads = model.predict(alive, {});
  CHECK(max_difference(heads.keep, model.keep_head.forward(slice(twice, 1, 1, 17))) < 1e-5);
  CHECK(max_difference(heads.symbol, model.symbol_head.forward(slice(twice, 1, 1, 17))) < 1e-5);
  const Tensor conflict = select(model.conflict_head.forward(twice), 2, 0);
  CHECK(max_difference(heads.conflict, select(conflict, 1, 0)) < 1e-5);

  // The same weights, read where a conflict shows most.
  Config other = config;
  other.lattice.conflict_head = ConflictHead::max;
  LatticeModel most(other, domain.channels, nullptr);
  most.load_state_dict(model.state_dict(kOfficialPrefix), kOfficialPrefix);
  // The other way round, so that it is not the token that shows it most.
  most.conflict_head.weight.value.detach().copy_from(-model.conflict_head.weight.value.detach());
  const Tensor shown = select(most.conflict_head.forward(twice), 2, 0);
  CHECK(max_difference(most.predict(alive, {}).conflict, max(shown, 1)) < 1e-5);
  CHECK(max_difference(max(shown, 1), select(shown, 1, 0)) > 1e-3);
}

TEST_CASE("lattice: a layer with an MLP over positions, written out") {
  Config config = tiny_lattice();
  config.model.mlp_t = true;
  LayerOptions options;
  Random random(2);
  options.random = &random;
  const PreNormLayer layer(config.model, options);
  CHECK_FALSE(layer.self_attn);
  CHECK(layer.mlp_t->up_proj.weight.value.shape() == Shape{2 * 17, 17});
  const Tensor x = random.normal({3, 17, 16}, 1);
  const NoGradGuard no_grad;
  const auto mlp = [](const GeluMlp& m, const Tensor& in) {
    return m.down_proj.forward(gelu(m.up_proj.forward(in)));
  };
  const Tensor across = transpose(layer.attention_norm.forward(x), 1, 2);
  const Tensor h = x + transpose(mlp(*layer.mlp_t, across), 1, 2);
  DropoutStream none;
  CHECK(max_difference(layer.forward(x, nullptr, none),
                       h + mlp(layer.mlp, layer.mlp_norm.forward(h))) < 1e-5);
  // Dropout follows the GELU and the second product.
  DropoutStream drop = {.p = 0.3, .seed = 4, .step = zeros({1}, DType::i32)};
  DropoutStream same = drop;
  const Tensor inner = dropout(gelu(layer.mlp.up_proj.forward(x)), same.next());
  const Tensor expected = dropout(layer.mlp.down_proj.forward(inner), same.next(), h);
  CHECK(max_difference(layer.mlp.forward(x, h, drop), expected) < 1e-5);
}

TEST_CASE("lattice: what is dropped does not depend on the threads, and differs from row to row") {
  const Domain domain = sudoku4();
  Config config = tiny_lattice();
  SUBCASE("attention") {}
  SUBCASE("an MLP over positions") { config.model.mlp_t = true; }
  Random random(2);
  const LatticeModel model(config, domain.channels, &random);
  const Tensor one = random_states(domain, 1, random);
  const Tensor alive = concat(Tensors(64, one), 0);
  const DropoutStream drop = {.p = 0.3, .seed = 4};
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const std::vector<double> single = model.predict(alive, drop).keep.to_vector();
  omp_set_num_threads(3);
  const std::vector<double> several = model.predict(alive, drop).keep.to_vector();
  omp_set_num_threads(threads);
  CHECK(single == several);
  // 64 equal rows, and no two of them see the same.
  const size_t row = single.size() / 64;
  std::vector<double> firsts;
  for (size_t i = 0; i < 64; ++i) firsts.push_back(single[i * row]);
  std::ranges::sort(firsts);
  CHECK(std::ranges::adjacent_find(firsts) == firsts.end());
}

TEST_CASE("lattice: the loss is its definition, and parts of a step add up to it") {
  const Domain domain = sudoku4();
  LatticeConfig weights;
  weights.symbol_loss = 0.7;
  Random random(9);
  const int64_t rows = 4, loops = 3;
  const auto logits = [&](const Shape& shape) { return random.normal(shape, 1.5, DType::f64); };
  const LatticeHeads heads = {logits({loops * rows, 16, 4}), logits({loops * rows, 16, 4}),
                              logits({loops * rows})};
  LatticeTargets targets = {random_states(domain, rows, random), {}, {}, {}};
  targets.keep = random.randint({rows, 16, 4}, 0, 1).to(DType::f32);
  targets.symbol = random.randint({rows, 16}, 0, 3);
  for (int i = 0; i < 20; ++i) targets.symbol.data<int32_t>()[3 * i] = kIgnoreLabel;
  targets.conflict = random.randint({rows}, 0, 1).to(DType::f32);
  const LatticeShares shares = {rows, rows * 16 - 20};

  const auto bce = [](double logit, double target) {
    return std::log1p(std::exp(-std::abs(logit))) + std::max(logit, 0.0) - logit * target;
  };
  double keep = 0, symbol = 0, conflict = 0;
  const auto k = heads.keep.to_vector(), s = heads.symbol.to_vector(),
             c = heads.conflict.to_vector();
  const auto right = targets.keep.to_vector(), lost = targets.conflict.to_vector();
  for (int64_t i = 0; i < loops * rows * 64; ++i) {
    const double target = right[i % (rows * 64)];
    keep += (target ? 4 : 0.5) * bce(k[i], target) / static_cast<double>(loops * rows * 64);
  }
  for (int64_t i = 0; i < loops * rows; ++i)
    conflict += bce(c[i], lost[i % rows]) / static_cast<double>(loops * rows);
  for (int64_t i = 0; i < loops * rows * 16; ++i) {
    const int32_t label = targets.symbol.data<int32_t>()[i % (rows * 16)];
    if (label == kIgnoreLabel) continue;
    double total = 0;
    for (int channel = 0; channel < 4; ++channel) total += std::exp(s[i * 4 + channel]);
    symbol += (std::log(total) - s[i * 4 + label]) / static_cast<double>(loops * shares.symbols);
  }
  const LatticeLoss loss = lattice_loss(heads, targets, shares, weights);
  CHECK(loss.keep.item() == doctest::Approx(keep));
  CHECK(loss.symbol.item() == doctest::Approx(symbol));
  CHECK(loss.conflict.item() == doctest::Approx(conflict));
  CHECK(loss.total.item() == doctest::Approx(keep + 0.7 * symbol + 0.1 * conflict));

  double sum = 0;
  for (const int64_t begin : {0, 1}) {
    const int64_t from = begin * 2, to = from + 2;
    const auto part = [&](const Tensor& t) {
      Tensors loops_of_part;
      for (int64_t l = 0; l < loops; ++l)
        loops_of_part.push_back(t.slice(0, l * rows + from, l * rows + to));
      return concat(loops_of_part, 0);
    };
    sum += lattice_loss({part(heads.keep), part(heads.symbol), part(heads.conflict)},
                        targets.rows(from, to), shares, weights)
               .total.item();
  }
  CHECK(sum == doctest::Approx(loss.total.item()));
}

TEST_CASE("lattice: the gradient of a step reaches every weight, as differences say") {
  const Domain domain = sudoku4();
  Config config = tiny_lattice();
  config.model.dtype = DType::f64;
  SUBCASE("attention") {}
  SUBCASE("an MLP over positions") { config.model.mlp_t = true; }
  Random random(2);
  const LatticeModel model(config, domain.channels, &random);
  LatticeTargets targets = {random_states(domain, 2, random), {}, {}, {}};
  targets.keep = random.randint({2, 16, 4}, 0, 1).to(DType::f32);
  targets.symbol = random.randint({2, 16}, 0, 3);
  targets.conflict = random.randint({2}, 0, 1).to(DType::f32);
  const DropoutStream drop = {.p = 0.2, .seed = 1};
  const auto loss = [&] {
    return lattice_loss(model.forward(targets.alive, drop), targets, {2, 32}, config.lattice).total;
  };
  backward(loss());
  for (const auto& parameter : model.named_parameters()) {
    CAPTURE(parameter.first);
    const Parameter* p = parameter.second;
    REQUIRE(p->value.grad().defined());
    const Tensor value = p->value.detach().clone();
    // In the direction of the gradient itself: the largest that there is.
    const std::vector<double> g = p->value.grad().to_vector();
    double square = 0;
    for (const double v : g) square += v * v;
    CHECK(square > 0);
    const double h = 1e-5 / std::sqrt(square);
    const auto moved_by = [&](double step) {
      p->value.detach().copy_from(value + affine(p->value.grad(), step));
    };
    const NoGradGuard no_grad;
    moved_by(h);
    const double above = loss().item();
    moved_by(-h);
    const double below = loss().item();
    moved_by(0);
    CHECK((above - below) / (2 * h) == doctest::Approx(square).epsilon(1e-4));
  }
}

TEST_CASE(
    "lattice: new states of the pool are bare, filled in rightly, or wrongly, in their shares") {
  const SmallLattice s;
  Config config = s.config;
  config.train.batch_size = 600;
  const Domain domain = Domain::of(s.train->task(), 16, 6);
  Pool pool(*s.train, domain, config, {0, config.train.batch_size});
  const LatticeTargets targets = pool.targets(1);
  const double lost = sum(targets.conflict).item() / 600;
  CHECK(lost == doctest::Approx(0.25).epsilon(0.2));
  // Symbols are asked for in the open cells of the others alone.
  int64_t symbols = 0;
  for (int64_t i = 0; i < targets.symbol.numel(); ++i)
    symbols += targets.symbol.data<int32_t>()[i] != kIgnoreLabel;
  CHECK(symbols == pool.symbols());
  const auto alive = targets.alive.to_vector(), keep = targets.keep.to_vector();
  int bare = 0;
  for (int64_t row = 0; row < 600; ++row) {
    double open = 0, right = 0;
    for (int64_t i = row * 64; i < (row + 1) * 64; ++i) {
      CHECK(keep[i] <= alive[i]);
      open += alive[i];
      right += keep[i];
    }
    CHECK((right < 16) == (targets.conflict.data<float>()[row] == 1));
    bare += right == 16 && open > 16 + 3 * 5;
  }
  CHECK(bare > 60);
}

TEST_CASE("lattice: states leave the pool when they are solved, refuted or old") {
  const SmallLattice s;
  const Domain domain = Domain::of(s.train->task(), 16, 6);
  const auto heads_of = [&](const Tensor& states, float keep, float conflict) {
    return LatticeHeads{full(states.shape(), keep), full(states.shape(), 0),
                        full({states.size(0)}, conflict)};
  };
  Pool pool(*s.train, domain, s.config, {0, s.config.train.batch_size});
  // Nothing is struck out and no conflict is seen: guesses alone, until the states are too old.
  int64_t rounds = 0;
  for (int64_t step = 1; step <= s.config.lattice.max_age; ++step) {
    const PoolMoves moves = pool.advance(step, heads_of(pool.inputs(step), 9, -9));
    if (step < s.config.lattice.max_age) CHECK(moves.finished == moves.solved);
    rounds += moves.finished;
  }
  CHECK(rounds >= pool.size());
  // All is struck out: every state but those without open cells is a conflict that is real.
  const PoolMoves emptied = pool.advance(20, heads_of(pool.inputs(20), -9, -9));
  CHECK(emptied.finished > 0);
  CHECK(emptied.finished == pool.size());
  // A conflict that is seen everywhere: false alarms stay.
  Pool other(*s.train, domain, s.config, {0, s.config.train.batch_size});
  const double lost = sum(other.targets(30).conflict).item();
  const PoolMoves alarms = other.advance(30, heads_of(other.inputs(30), 9, 9));
  CHECK(static_cast<double>(alarms.finished) == lost);
  CHECK(static_cast<double>(alarms.conflicts) == lost);
}

TEST_CASE("lattice: a round follows a pass of its own, with the new weights and other copies") {
  SmallLattice s;
  s.config.train.lr = 0.1;
  s.config.train.lr_warmup_steps = 0;
  s.config.lattice.dropout = 0;
  s.config.lattice.remove_below = 0.5;  // so that the logits of an untrained network matter
  const Domain domain = Domain::of(s.train->task(), 16, 6);
  // The candidates of the states after the round of a step.
  const auto moved_by = [&](const LatticeModel& model, const NamedTensors& states, int64_t step) {
    Pool pool(*s.train, domain, s.config, {0, s.config.train.batch_size});
    pool.load(states);
    const auto trained_on = pool.targets(step).alive.to_vector();
    const Tensor alive = pool.inputs(step);
    CHECK(trained_on != alive.to_vector());
    pool.advance(step, model.predict(alive, {}));
    return pool.tensors()[0].second.to_vector();
  };
  LatticeStep learner(s.config, *s.train, Device::cpu);
  MetricsWindow window(learner.columns(), Device::cpu);
  for (int64_t step = 1; step <= 3; ++step) {
    const NamedTensors states = learner.pool().tensors();
    const auto by_old_weights = moved_by(learner.module(), states, step);
    learner.run(step, window);
    const auto by_new_weights = moved_by(learner.module(), states, step);
    CHECK(by_old_weights != by_new_weights);
    CHECK(learner.pool().tensors()[0].second.to_vector() == by_new_weights);
  }
}

TEST_CASE("lattice: a training that is cut goes on bit for bit, pool included") {
  SmallLattice s;
  s.config.train.optimizer = OptimizerKind::muon;
  const auto whole = s.trainer("whole");
  whole->run({});
  const auto resumed = cut_and_resumed(s, "cut", 9);
  CHECK(same_weights(resumed->module(), whole->module()));
  CHECK(without_times(read_file(s.dir / "cut" / "metrics.jsonl")) ==
        without_times(read_file(s.dir / "whole" / "metrics.jsonl")));
  const auto training = [&](const char* run) {
    return read_checkpoint(list_checkpoints(s.dir / run).back()).training;
  };
  const NamedTensors a = training("whole"), b = training("cut");
  int pool = 0;
  for (const auto& [name, tensor] : a) {
    if (!name.starts_with("pool.")) continue;
    ++pool;
    for (const auto& [other_name, other] : b)
      if (other_name == name) CHECK(tensor.to_vector() == other.to_vector());
  }
  CHECK(pool == 3);
  expect_error([&] { whole->model(); }, "a lattice has no segments");
}

TEST_CASE("lattice: depth curriculum: a third of the loops at first, and all of them at the end") {
  SmallLattice s;
  s.config.train.total_steps = 10;
  Config one = s.config;
  one.lattice.loops = 1;
  s.config.lattice.loops = 3;
  s.config.train.depth_curriculum = true;
  s.config.validate();
  LatticeStep grows(s.config, *s.train, Device::cpu), shallow(one, *s.train, Device::cpu);
  MetricsWindow window(grows.columns(), Device::cpu), other(shallow.columns(), Device::cpu);
  for (int64_t step = 1; step <= 4; ++step) {
    grows.run(step, window);
    shallow.run(step, other);
    CHECK(same_weights(grows.module(), shallow.module()) == (step <= 3));
    CHECK(grows.module().loops() == 3);
  }
}

TEST_CASE("lattice: a training gives the same weights on every device, but for rounding") {
  SmallLattice s;
  s.config.model.dtype = DType::f64;
  s.config.train.total_steps = 4;
  s.config.train.eval_every = 0;
  s.config.train.eval_puzzles = 2;
  s.config.train.optimizer = OptimizerKind::muon;
  const auto on_cpu = s.trainer("cpu");
  on_cpu->run({});
  for (const Device device : devices()) {
    const auto other = s.trainer("other", device);
    other->run({});
    CHECK(other->device() == device);
    CHECK(weight_difference(on_cpu->module(), other->module()) < 1e-6);
    fs::remove_all(s.dir / "other");
  }
}

TEST_CASE("lattice: a pool of a damaged checkpoint is refused") {
  const SmallLattice s;
  const Domain domain = Domain::of(s.train->task(), 16, 6);
  Pool pool(*s.train, domain, s.config, {0, s.config.train.batch_size});
  const auto damaged = [&](int which, int32_t value) {
    NamedTensors saved = pool.tensors();
    saved[which].second.data<int32_t>()[0] = value;
    return saved;
  };
  expect_error([&] { pool.load(damaged(0, 1 << 20)); }, "has candidates in cell 1 that its puzzle");
  expect_error([&] { pool.load(damaged(1, -1)); }, "must be of an example in 0..");
  expect_error([&] { pool.load(damaged(1, 1 << 20)); }, "must be of an example in 0..");
  expect_error([&] { pool.load(damaged(2, 5)); }, "must have an age in 0..4, got 5");
  expect_error([&] { pool.load({}); }, "the checkpoint has no 'pool.alive'");
  pool.load(pool.tensors());
}

TEST_CASE("lattice: training lowers the loss, and an answer that is given is right") {
  SmallLattice s;
  s.config.model.hidden_size = 32;
  s.config.train.batch_size = 32;
  s.config.train.total_steps = 250;
  s.config.train.lr = 5e-3;
  s.config.train.eval_every = 0;
  s.config.lattice.dropout = 0;
  s.config.model.halt_max_steps = 200;
  s.config.lattice.chains = 8;
  std::vector<double> losses;
  TrainCallbacks callbacks;
  callbacks.on_metrics = [&](const TrainMetrics& m) { losses.push_back(m.mean("loss")); };
  EvalResult result;
  callbacks.on_eval = [&](const EvalResult& r, bool) { result = r; };
  const auto trainer = s.trainer("run");
  trainer->run(callbacks);
  REQUIRE(losses.size() > 10);
  CHECK(losses.back() < 0.8 * losses.front());
  CHECK(result.count == 6);
  // The rules are checked, so that what is settled is right, whatever the model has learned.
  int64_t settled = 0;
  for (const int64_t n : result.halt_histogram) settled += n;
  CHECK(settled > 0);
  CHECK(static_cast<double>(settled) == doctest::Approx(6 * result.exact_accuracy));
  CHECK(result.exact_by_segment.back() == doctest::Approx(result.exact_accuracy));
  CHECK(result.traces.size() == 6);
  for (const PuzzleTrace& trace : result.traces) {
    CHECK(trace.notes.size() == trace.predictions.size());
    CHECK(trace.q_halt.empty());
  }
  const EvalResult again = eval_result_from_json(to_json(result), "here");
  CHECK(again.traces[0].notes == result.traces[0].notes);

  // The same seed draws the same chains; the batch does not matter without dropout.
  const auto& model = dynamic_cast<const LatticeModel&>(trainer->module());
  Config config = s.config;
  config.lattice.solve_dropout = 0;
  EvalOptions options;
  const EvalResult one = evaluate_lattice(model, config, *s.test, options);
  options.batch_size = 4;
  const EvalResult other = evaluate_lattice(model, config, *s.test, options);
  CHECK(one.solved == other.solved);
  CHECK(one.mean_steps == other.mean_steps);
  // Every rank is told of all answers, in order.
  const auto errors = run_ranks(2, [&](Communicator ranks) {
    EvalOptions shared = options;
    shared.ranks = ranks;
    std::string solved;
    shared.on_answer = [&](const Answer& a) {
      CHECK(a.example == std::ssize(solved));
      CHECK(a.segments >= 1);
      solved += a.solved ? '1' : '0';
    };
    evaluate_lattice(model, config, *s.test, shared);
    CHECK(solved == one.solved);
  });
  for (const std::string& error : errors) CHECK(error == "");
  const Tokens puzzle = s.test->read(0).inputs;
  const LatticeSolution found = solve_lattice(model, config, s.test->task(), puzzle, options);
  if (found.settled)
    CHECK(s.test->task().check(puzzle, found.trace.predictions.back()) == "");
  else
    CHECK(found.rounds == 200);
}

TEST_CASE("lattice: an answer to a maze is a path, whatever the network says") {
  Config config = tiny_lattice();
  config.model.seq_len = 9;
  config.model.vocab_size = kMazeVocab;
  config.model.halt_max_steps = 400;
  config.lattice.remove_below = 0;  // strikes out nothing: every cell is a guess
  config.lattice.solve_conflict_above = 1;
  config.lattice.solve_guess = Guess::random;
  config.lattice.chains = 8;
  Random random(3);
  const LatticeModel model(config, 5, &random);
  const MazeTask task(3);
  for (const char* text : {"S    #  G", "S  ## G  ", "S#   G   "}) {
    const Tokens puzzle = task.parse(text);
    const LatticeSolution found = solve_lattice(model, config, task, puzzle, {});
    REQUIRE(found.settled);
    CHECK(found.restarts > 0);
    CHECK(task.refute(puzzle, found.trace.predictions.back()) == "");
  }
  // A longer path is not refuted.
  const Tokens open = task.parse("S G      ");
  int64_t detours = 0;
  EvalOptions options;
  for (options.seed = 0; options.seed < 5; ++options.seed) {
    const LatticeSolution found = solve_lattice(model, config, task, open, options);
    detours += found.settled && !task.check(open, found.trace.predictions.back()).empty();
  }
  CHECK(detours > 0);
}

TEST_CASE("lattice: settings of the other refinement are refused") {
  Config config = tiny_lattice();
  config.model.H_cycles = 3;
  expect_error([&] { config.validate(); }, "H_cycles is not a setting of refinement lattice");
  config = tiny_lattice();
  config.train.refill = Refill::only_halted;
  expect_error([&] { config.validate(); }, "refill is not a setting of refinement lattice");
  config = preset("sudoku4");
  config.lattice.loops = 3;
  expect_error([&] { config.validate(); }, "lattice_loops is not a setting of refinement segments");
  config = tiny_lattice();
  config.lattice.right_share = 0.9;
  expect_error([&] { config.validate(); }, "must add up to at most 1");
  config = tiny_lattice();
  CHECK(Config::from_json(config.to_json(), "here").lattice.loops == 2);
  CHECK_FALSE(preset("sudoku4").to_json().contains("lattice"));
}

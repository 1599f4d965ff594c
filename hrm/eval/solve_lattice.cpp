#include "hrm/eval/solve_lattice.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/core.h>

#include "hrm/support/clock.h"

namespace hrm {
namespace {

// One attempt at a puzzle. Where a trace is asked for, the history since its last start is kept: a
// round settles a cell, so that it is short.
struct Chain {
  Candidates alive;
  bool ended = false;  // in a conflict: the next round begins anew
  std::vector<Tokens> states;
  std::vector<std::string> notes;
};

struct Attempt {
  int64_t number = 0;  // of the puzzle, for its random draws
  Tokens puzzle;
  Candidates start;
  std::vector<Chain> chains;
  int64_t round = 0, restarts = 0;
  int64_t winner = -1;  // the chain that has settled all cells
  bool traced = false;

  bool settled() const { return winner >= 0; }
  // What the winner has settled; without one, the state of the first chain.
  const Chain& best() const { return chains[std::max<int64_t>(0, winner)]; }
  Tokens answer() const { return settled_tokens(best().alive, puzzle); }
};

std::string describe(const Task& task, const Domain& domain, const Move& move) {
  std::string text;
  if (move.removed > 0) text = fmt::format("{} struck out", move.removed);
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (move.kind == Move::Kind::conflict) add("conflict: starts anew");
  if (move.kind == Move::Kind::solved) add("all settled");
  if (move.kind != Move::Kind::guessed) return text;
  const int columns = task.layout(domain.cells).columns;
  const std::string name = task.text(Tokens(domain.cells, move.token)).substr(0, 1);
  add(fmt::format("({}, {}) guessed '{}'", move.cell / columns + 1, move.cell % columns + 1, name));
  return text;
}

class Solver {
 public:
  Solver(const LatticeModel& model, const Config& config, const Task& task,
         const EvalOptions& options)
      : model_(model),
        config_(config),
        task_(task),
        domain_(Domain::of(task, config.model.seq_len, config.model.vocab_size)),
        seed_(Random(options.seed).fork("chains")),
        rounds_(options.segments > 0 ? options.segments : config.model.halt_max_steps) {
    HRM_CHECK(domain_.channels == model.channels(), "[lattice] the model tells ", model.channels(),
              " tokens apart, and puzzles of the kind ", task.kind(), " have ", domain_.channels,
              ". HINT: train a model for this kind");
  }

  Attempt begin(int64_t number, const Tokens& puzzle, bool traced) const {
    Attempt attempt;
    attempt.number = number;
    attempt.puzzle = puzzle;
    attempt.start = domain_.start(puzzle);
    attempt.chains.assign(config_.lattice.chains, {attempt.start, false, {}, {}});
    attempt.traced = traced;
    return attempt;
  }
  // An Error if a puzzle has a cell that can hold nothing: better now than when its turn comes.
  void check(const Tokens& puzzle) const { domain_.start(puzzle); }
  bool done(const Attempt& a) const { return a.settled() || a.round == rounds_; }
  int64_t rounds() const { return rounds_; }

  // One round of every chain of these puzzles.
  void advance(std::vector<Attempt>& attempts) {
    std::vector<Candidates> copies;
    std::vector<Symmetry> symmetries;
    std::vector<Random> randoms;
    const auto draw = task_.symmetries();
    for (const Attempt& a : attempts)
      for (size_t c = 0; c < a.chains.size(); ++c) {
        randoms.push_back(seed_.fork(a.number).fork(c).fork(a.round));
        symmetries.push_back(draw ? draw(randoms.back()) : domain_.identity());
        copies.push_back(moved(symmetries.back(), a.chains[c].alive));
      }
    const DropoutStream drop = {
        .p = config_.lattice.solve_dropout,
        .seed = seed_.seed(),
        .step = full({1}, static_cast<double>(++calls_), DType::i32, model_.device())};
    const LatticeHeads heads = model_.predict(to_tensor(domain_, copies).to(model_.device()), drop);
    const Tensor keep = on_host(heads.keep), symbol = on_host(heads.symbol),
                 conflict = on_host(heads.conflict);
    const int64_t logits = domain_.cells * domain_.channels;
    int64_t row = 0;
    for (Attempt& a : attempts) {
      for (size_t c = 0; c < a.chains.size(); ++c, ++row) {
        const Verdict verdict = {keep.data<float>() + row * logits,
                                 symbol.data<float>() + row * logits, conflict.data<float>()[row]};
        move(a, c, symmetries[row], copies[row], verdict, randoms[row]);
      }
      ++a.round;
    }
  }

 private:
  static Tensor on_host(const Tensor& t) { return t.to(DType::f32).to(Device::cpu); }

  // What the network says of the copy, done to chain c.
  void move(Attempt& a, size_t c, const Symmetry& symmetry, Candidates& copy,
            const Verdict& verdict, Random& random) const {
    Chain& chain = a.chains[c];
    if (std::exchange(chain.ended, false)) {
      chain.states.clear();
      chain.notes.clear();
    }
    const SolverRule rule = {config_.lattice.remove_below, config_.lattice.solve_conflict_above,
                             config_.lattice.temperature, config_.lattice.solve_guess};
    Move move = solver_step(domain_, moved(symmetry, a.start), copy, verdict, rule, random);
    chain.alive = moved_back(symmetry, copy);
    if (move.cell >= 0) {
      move.cell = symmetry.source[move.cell];
      move.token = settled_tokens(chain.alive, a.puzzle)[move.cell];
    }
    if (move.kind == Move::Kind::solved &&
        !task_.refute(a.puzzle, settled_tokens(chain.alive, a.puzzle)).empty())
      move.kind = Move::Kind::conflict;
    if (a.traced) {
      chain.states.push_back(settled_tokens(chain.alive, a.puzzle));
      chain.notes.push_back(describe(task_, domain_, move));
    }
    if (move.kind == Move::Kind::solved && !a.settled()) a.winner = static_cast<int64_t>(c);
    if (move.kind != Move::Kind::conflict) return;
    chain.alive = a.start;
    chain.ended = true;
    ++a.restarts;
  }

  const LatticeModel& model_;
  const Config& config_;
  const Task& task_;
  Domain domain_;
  Random seed_;
  int64_t rounds_, calls_ = 0;
};

PuzzleTrace trace_of(const Attempt& a, const Tokens& labels) {
  return {a.puzzle, labels, a.best().states, {}, {}, a.best().notes, a.number};
}

// An evaluation in the making.
class Judge {
 public:
  Judge(const PuzzleDataset& data, int64_t total, const EvalOptions& options, int64_t rounds)
      : data_(data), failures_(options.failures) {
    result_.traces.resize(std::min(options.traces, total));
    result_.solved.assign(total, '0');
    result_.exact_by_segment.assign(rounds, 0);
    result_.accuracy_by_segment.assign(rounds, 0);
    result_.halt_histogram.assign(rounds + 1, 0);
    if (data.task().several_answers()) result_.valid_accuracy = 0;
  }

  void judge(const Attempt& a, const std::function<void(const Answer&)>& on_answer) {
    const Example example = data_.read(a.number);
    const Tokens answer = a.answer();
    double labelled = 0, right = 0;
    for (size_t i = 0; i < answer.size(); ++i) {
      if (example.labels[i] < 0) continue;  // not supervised
      ++labelled;
      right += answer[i] == example.labels[i];
    }
    // A cell that is not settled may look like an answer: a free cell of a maze does.
    const bool exact = a.settled() && labelled > 0 && right == labelled;
    right /= std::max(1.0, labelled);
    ++result_.count;
    result_.exact_accuracy += exact;
    result_.accuracy += right;
    result_.mean_steps += static_cast<double>(a.round);
    if (a.settled()) ++result_.halt_histogram[a.round];
    if (exact) result_.solved[a.number] = '1';
    const bool valid =
        result_.valid_accuracy && a.settled() && data_.task().check(a.puzzle, answer).empty();
    if (valid) *result_.valid_accuracy += 1;
    for (size_t r = a.round - 1; r < result_.exact_by_segment.size(); ++r) {
      result_.exact_by_segment[r] += exact;
      result_.accuracy_by_segment[r] += right;
    }
    most_rounds_ = std::max(most_rounds_, a.round);
    if (a.number < std::ssize(result_.traces))
      result_.traces[a.number] = trace_of(a, example.labels);
    else if (!exact && !valid && failures_.would_keep(a.number))
      failures_.keep(trace_of(a, example.labels));
    if (!on_answer) return;
    Answer told;
    told.example = a.number;
    told.tokens = answer;
    told.segments = a.round;
    told.exact = exact;
    told.solved = exact || valid;
    on_answer(told);
  }

  EvalResult summary(double started, const Communicator& ranks) {
    add_up(result_, ranks);
    failures_.append_to(result_, ranks);
    for (const std::string& most : ranks.gather(std::to_string(most_rounds_)))
      most_rounds_ = std::max<int64_t>(most_rounds_, std::stoll(most));
    const auto n = static_cast<double>(result_.count);
    for (double* mean : {&result_.exact_accuracy, &result_.accuracy, &result_.mean_steps})
      *mean /= n;
    if (result_.valid_accuracy) *result_.valid_accuracy /= n;
    // Rounds that no puzzle has seen say nothing.
    result_.exact_by_segment.resize(most_rounds_);
    result_.accuracy_by_segment.resize(most_rounds_);
    result_.halt_histogram.resize(most_rounds_ + 1);
    for (double& v : result_.exact_by_segment) v /= n;
    for (double& v : result_.accuracy_by_segment) v /= n;
    result_.seconds = seconds_now() - started;
    return std::move(result_);
  }

 private:
  const PuzzleDataset& data_;
  EvalResult result_;
  FirstFailures failures_;
  int64_t most_rounds_ = 1;
};

}  // namespace

EvalResult evaluate_lattice(const LatticeModel& model, const Config& config,
                            const PuzzleDataset& data, const EvalOptions& options) {
  int64_t total = data.num_examples();
  if (options.max_puzzles > 0) total = std::min(total, options.max_puzzles);
  HRM_CHECK(total > 0, "[eval] the data set has no examples in this split");
  const double started = seconds_now();
  Solver solver(model, config, data.task(), options);
  for (int64_t i = 0; i < total; ++i) solver.check(data.read(i).inputs);
  // What is dropped depends on which puzzles are computed together: then every rank solves all.
  const Communicator ranks = config.lattice.solve_dropout > 0 ? Communicator() : options.ranks;
  const Range own = share_of(total, ranks.rank(), ranks.size());
  Judge judge(data, total, options, solver.rounds());
  std::vector<Answer> answers;
  std::function<void(const Answer&)> tell = options.on_answer;
  if (tell && ranks.size() > 1) tell = [&](const Answer& a) { answers.push_back(a); };
  const auto traced = [&](int64_t i) { return i < options.traces || options.failures > 0; };
  const int64_t at_once = std::max<int64_t>(1, options.batch_size / config.lattice.chains);
  std::vector<Attempt> attempts;
  int64_t next = own.begin, done = 0;
  while (done < own.size()) {
    while (std::ssize(attempts) < at_once && next < own.end) {
      attempts.push_back(solver.begin(next, data.read(next).inputs, traced(next)));
      ++next;
    }
    solver.advance(attempts);
    for (const Attempt& a : attempts)
      if (solver.done(a)) judge.judge(a, tell);
    done += static_cast<int64_t>(
        std::erase_if(attempts, [&](const Attempt& a) { return solver.done(a); }));
    if (options.on_progress) options.on_progress(done, own.size());
  }
  if (options.on_answer && ranks.size() > 1)
    tell_answers(std::move(answers), config.model.seq_len, options);
  return judge.summary(started, ranks);
}

LatticeSolution solve_lattice(const LatticeModel& model, const Config& config, const Task& task,
                              const Tokens& puzzle, const EvalOptions& options) {
  Solver solver(model, config, task, options);
  std::vector<Attempt> attempts = {solver.begin(0, puzzle, true)};
  const Attempt& attempt = attempts.front();
  while (!solver.done(attempt)) {
    solver.advance(attempts);
    if (options.on_progress) options.on_progress(attempt.round, solver.rounds());
  }
  return {trace_of(attempt, {}),      attempt.settled(), std::max<int64_t>(0, attempt.winner),
          std::ssize(attempt.chains), attempt.restarts,  attempt.round};
}

}  // namespace hrm

#include "hrm/lattice/solver_step.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace hrm {
namespace {

// Where a probability stands among logits, so that no logit has to become a probability.
double logit(double probability) { return std::log(probability) - std::log1p(-probability); }

// Strikes out the candidates of open cells whose logit is below the threshold, and counts them.
int64_t strike_out(const Domain& domain, const Candidates& start, Candidates& alive,
                   const float* keep, double threshold) {
  int64_t removed = 0;
  for (int64_t cell = 0; cell < domain.cells; ++cell) {
    if (is_single(start[cell])) continue;
    uint32_t dead = 0;
    for (int64_t c = 0; c < domain.channels; ++c)
      dead |= uint32_t{keep[cell * domain.channels + c] < threshold} << (domain.first + c);
    removed += std::popcount(alive[cell] & dead);
    alive[cell] &= ~dead;
  }
  return removed;
}

// The probability of the most likely of the cell's candidates, by softmax(logits) among them.
double sureness(const Domain& domain, uint32_t candidates, const float* logits) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (uint32_t rest = candidates; rest != 0; rest &= rest - 1)
    largest = std::max<double>(largest, logits[std::countr_zero(rest) - domain.first]);
  for (uint32_t rest = candidates; rest != 0; rest &= rest - 1)
    sum += std::exp(logits[std::countr_zero(rest) - domain.first] - largest);
  return 1 / sum;
}

// One of the cell's candidates, with probabilities softmax(logits / temperature) among them.
int32_t draw_token(const Domain& domain, uint32_t candidates, const float* logits,
                   double temperature, Random& random) {
  double largest = -std::numeric_limits<double>::infinity();
  const auto each = [&](const auto& visit) {
    for (uint32_t rest = candidates; rest != 0; rest &= rest - 1) {
      const int token = std::countr_zero(rest);
      visit(token, logits[token - domain.first] / temperature);
    }
  };
  each([&](int, double scaled) { largest = std::max(largest, scaled); });
  double left = 0;
  each([&](int, double scaled) { left += std::exp(scaled - largest); });
  left *= random.uniform();
  int32_t drawn = std::countr_zero(candidates);
  bool found = false;
  each([&](int token, double scaled) {
    if (found) return;
    drawn = token;
    left -= std::exp(scaled - largest);
    found = left < 0;
  });
  return drawn;
}

}  // namespace

Move solver_step(const Domain& domain, const Candidates& start, Candidates& alive,
                 const Verdict& verdict, const SolverRule& rule, Random& random) {
  Move move;
  move.conflict_probability = 1 / (1 + std::exp(-static_cast<double>(verdict.conflict)));
  move.removed = strike_out(domain, start, alive, verdict.keep, logit(rule.remove_below));
  const bool empty_cell = std::ranges::find(alive, 0u) != alive.end();
  if (empty_cell || move.conflict_probability > rule.conflict_above) return move;

  std::vector<int64_t> open;
  for (int64_t cell = 0; cell < domain.cells; ++cell)
    if (!is_single(alive[cell])) open.push_back(cell);
  if (open.empty()) {
    move.kind = Move::Kind::solved;
    return move;
  }
  move.kind = Move::Kind::guessed;
  const auto logits = [&](int64_t cell) { return verdict.symbol + cell * domain.channels; };
  move.cell = open[random.below(std::ssize(open))];
  if (rule.guess == Guess::surest)
    move.cell = *std::ranges::max_element(
        open, {}, [&](int64_t cell) { return sureness(domain, alive[cell], logits(cell)); });
  move.token = draw_token(domain, alive[move.cell], logits(move.cell), rule.temperature, random);
  alive[move.cell] = uint32_t{1} << move.token;
  return move;
}

}  // namespace hrm

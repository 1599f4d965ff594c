#include "hrm/lattice/candidates.h"

#include <bit>
#include <numeric>

namespace hrm {
namespace {

uint32_t bit(int32_t token) { return uint32_t{1} << token; }

// The tokens of the set, each through `map`.
template <class Map>
uint32_t mapped(uint32_t set, const Map& map) {
  uint32_t result = 0;
  for (; set != 0; set &= set - 1) result |= bit(map(std::countr_zero(set)));
  return result;
}

}  // namespace

Domain Domain::of(const Task& task, int64_t seq_len, int64_t vocab_size) {
  constexpr int64_t kMostTokens = 32;  // bits of a word
  uint32_t all = 0;
  if (vocab_size <= kMostTokens && task.fits(seq_len, vocab_size))
    for (int32_t token = 1; token < vocab_size; ++token) all |= task.candidates(token);
  HRM_CHECK(all != 0, "[lattice] puzzles of the kind ",
            task.kind().empty() ? "of this data set" : task.kind(), " with ", seq_len,
            " cells are not solved by striking out candidates. HINT: a preset of HRM, or a data "
            "set of Sudoku, mazes or queens");
  const int first = std::countr_zero(all);
  return {seq_len, first, std::bit_width(all) - first, &task};
}

Candidates Domain::start(const Tokens& puzzle) const {
  const uint32_t all = ((uint32_t{1} << channels) - 1) << first;
  Candidates alive;
  for (int64_t cell = 0; cell < cells; ++cell) {
    alive.push_back(task->candidates(puzzle[cell]) & all);
    HRM_CHECK(alive.back() != 0, "[lattice] cell ", cell + 1, " of a puzzle holds token ",
              puzzle[cell], ", which stands for nothing in a puzzle of the kind ", task->kind());
  }
  return alive;
}

Symmetry Domain::identity() const {
  Symmetry same = {std::vector<int>(cells), Tokens(first + channels)};
  std::iota(same.source.begin(), same.source.end(), 0);
  std::iota(same.token.begin(), same.token.end(), 0);
  return same;
}

void Domain::write(uint32_t candidates, float* channels_of_cell) const {
  for (int64_t c = 0; c < channels; ++c)
    channels_of_cell[c] = static_cast<float>(candidates >> (first + c) & 1);
}

Tokens settled_tokens(const Candidates& alive, const Tokens& open) {
  Tokens tokens;
  for (size_t cell = 0; cell < alive.size(); ++cell)
    tokens.push_back(is_single(alive[cell]) ? std::countr_zero(alive[cell]) : open[cell]);
  return tokens;
}

bool contains(const Candidates& alive, const Tokens& answer) {
  for (size_t cell = 0; cell < alive.size(); ++cell)
    if ((alive[cell] & bit(answer[cell])) == 0) return false;
  return true;
}

Candidates moved(const Symmetry& symmetry, const Candidates& alive) {
  Candidates copy(alive.size());
  for (size_t cell = 0; cell < alive.size(); ++cell)
    copy[cell] = mapped(alive[symmetry.source[cell]], [&](int t) { return symmetry.token[t]; });
  return copy;
}

Candidates moved_back(const Symmetry& symmetry, const Candidates& copy) {
  Tokens back(symmetry.token.size());
  for (size_t t = 0; t < back.size(); ++t) back[symmetry.token[t]] = static_cast<int32_t>(t);
  Candidates alive(copy.size());
  for (size_t cell = 0; cell < copy.size(); ++cell)
    alive[symmetry.source[cell]] = mapped(copy[cell], [&](int t) { return back[t]; });
  return alive;
}

Tensor to_tensor(const Domain& domain, const std::vector<Candidates>& states) {
  const int64_t count = std::ssize(states);
  Tensor tensor = empty({count, domain.cells, domain.channels});
  float* at = tensor.data<float>();
  for (const Candidates& alive : states)
    for (const uint32_t candidates : alive) {
      domain.write(candidates, at);
      at += domain.channels;
    }
  return tensor;
}

}  // namespace hrm

// Along eight directions: running maxima and shifts, and which directions share their weights.
#include <map>

#include "autograd/ops/ops.h"
#include "examples/compressarc/network.h"

namespace hrm::compressarc {
namespace {

// Where direction k leads: rows down, columns to the right.
constexpr std::array<std::array<int, 2>, kDirections> kSteps = {
    {{1, 0}, {1, 1}, {0, 1}, {-1, 1}, {-1, 0}, {-1, -1}, {0, -1}, {1, -1}}};
// Far below and above all values, for cells that are outside of their grid.
constexpr double kFar = 1000;

Direction along(int step) { return step > 0 ? Direction::forward : Direction::backward; }

// Along rows or columns: where each value stands between the smallest (-1) and the largest (1) of
// its line. Cells outside are carried along.
Tensor straight_cummax(const Tensor& p, const Tensor& outside, int dim, Direction direction) {
  const Tensor low = p - outside, high = p + outside;
  const Tensor most = max(low, dim, true) + outside + 1e-3;
  const Tensor least = min(high, dim, true) - outside - 1e-3;
  const Tensor sofar = cummax(low, dim, direction) + outside;
  return 2 * (sofar - least) / (most - least) - 1;
}

// The same along diagonals. Cells outside are 0.
Tensor diagonal_cummax(const Tensor& p, const Tensor& inside, const Tensor& outside, int rows_dim,
                       Direction rows, Direction cols) {
  const auto opposite = [](Direction d) {
    return d == Direction::forward ? Direction::backward : Direction::forward;
  };
  const auto sofar = [&](const Tensor& x) { return cummax_diagonal(x, rows_dim, rows, cols); };
  const auto most = [&](const Tensor& x) {
    return maximum(sofar(x), cummax_diagonal(x, rows_dim, opposite(rows), opposite(cols)));
  };
  const Tensor low = p - outside;
  const Tensor reached = sofar(low) + outside, largest = most(low) + outside;
  const Tensor smallest = -most(-(p + outside)) - outside;
  return inside * (2 * (reached - smallest) / (largest - smallest + 1e-5) - 1);
}

// f(two channels, direction) for each direction k and its pairs of channels, 0 and 2 along k, 1
// and 3 along the opposite one. They come out in the order 0, 2, 1, 3.
template <class F>
Tensor for_directions(const Tensor& p, const Tensor& inside, const F& f) {
  const int dim = p.ndim() - 4;  // of the directions
  Tensors all;
  for (int64_t k = 0; k < kDirections; ++k) {
    const Tensor slice_k = select(p, dim, k) * inside;
    const auto channels = [&](int64_t first) {
      return concat(
          {slice(slice_k, -1, first, first + 1), slice(slice_k, -1, first + 2, first + 3)}, -1);
    };
    all.push_back(concat({f(channels(0), kSteps[k]), f(channels(1), kSteps[(k + 4) % 8])}, -1));
  }
  return stack(all, dim);
}

// The map of a pair of directions for subsets with both rows and columns, or neither: a turn by 90
// degrees changes nothing, nor does a reflection along the target.
std::pair<int, int> turned_alike(int target, int source) {
  const int turn = target / 2 * 2;
  target -= turn;
  source = (source - turn + 8) % 8;
  if ((source - target + 8) % 8 > 4) source = (2 * target - source + 8) % 8;
  return {target, source};
}

// For those with rows alone: half a turn and the two reflections of a rectangle change nothing.
std::pair<int, int> reflected_alike(int target, int source) {
  const auto replace = [&](int from) {
    target = (from - target + 8) % 8;
    source = (from - source + 8) % 8;
  };
  if (target > 4 || ((target == 0 || target == 4) && source > 4)) replace(0);
  if ((target > 2 && target < 6) || ((target == 2 || target == 6) && source > 2 && source < 6))
    replace(4);
  return {target, source};
}

template <class Alike>
DirectionMaps number_maps(int turn, const Alike& alike) {
  DirectionMaps maps;
  std::map<std::pair<int, int>, int32_t> numbers;  // in the order in which rows alone meet them
  for (int target = 0; target < 8; ++target)
    for (int source = 0; source < 8; ++source)
      numbers.emplace(alike(target, source), static_cast<int32_t>(numbers.size()));
  for (int target = 0; target < 8; ++target)
    for (int source = 0; source < 8; ++source)
      maps.map[target][source] = numbers.at(alike((target + turn) % 8, (source + turn) % 8));
  maps.count = std::ssize(numbers);
  return maps;
}

}  // namespace

Tensor directional_cummax(const Tensor& p, const Tensor& inside) {
  const Tensor outside = kFar * (1 - inside);
  const int rows_dim = p.ndim() - 4;  // of the slice of a direction
  return for_directions(p, inside, [&](const Tensor& x, const std::array<int, 2>& step) {
    if (step[1] == 0) return straight_cummax(x, outside, rows_dim, along(step[0]));
    if (step[0] == 0) return straight_cummax(x, outside, rows_dim + 1, along(step[1]));
    return diagonal_cummax(x, inside, outside, rows_dim, along(step[0]), along(step[1]));
  });
}

Tensor directional_shift(const Tensor& p, const Tensor& inside) {
  const int rows_dim = p.ndim() - 4;
  return for_directions(p, inside, [&](const Tensor& x, const std::array<int, 2>& step) {
    return shift(shift(x, rows_dim, step[0]), rows_dim + 1, step[1]);
  });
}

const DirectionMaps& direction_maps(Subset s) {
  static const DirectionMaps square = number_maps(0, turned_alike);
  static const DirectionMaps rows = number_maps(0, reflected_alike);
  static const DirectionMaps cols = number_maps(2, reflected_alike);
  if (s.has(kRow) == s.has(kCol)) return square;
  return s.has(kRow) ? rows : cols;
}

}  // namespace hrm::compressarc

// What each direction says to the others, and which pairs of directions share their weights.
#include <map>

#include "examples/compressarc/layers/layer.h"
#include "examples/compressarc/layers/weight_sums.h"

namespace hrm::compressarc {
namespace {

constexpr int64_t kChannels = 8;  // of a tensor with directions
constexpr int64_t kAll = kDirections * kChannels;
constexpr int kColumn = 16;  // of a matrix [kAll, kAll]: those that are computed together

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

std::vector<Subset> directed_subsets() {
  std::vector<Subset> directed;
  for (const Subset s : subsets())
    if (s.has(kDirection)) directed.push_back(s);
  return directed;
}

// f(element of the matrix [kAll, kAll] from (source, channel) to (target, channel), element of the
// maps [n, 8, 8], how much of the source reaches the target).
template <class F>
void for_elements(const DirectionMaps& maps, const F& f) {
  for (int64_t source = 0; source < kDirections; ++source)
    for (int64_t target = 0; target < kDirections; ++target) {
      const double near = kNear[(source - target + kDirections) % kDirections];
      const int64_t map = maps.map[target][source];
      for (int64_t from = 0; from < kChannels; ++from)
        for (int64_t to = 0; to < kChannels; ++to)
          f((source * kChannels + from) * kAll + target * kChannels + to,
            (map * kChannels + from) * kChannels + to, near);
    }
}

// The directions of a position side by side: of a piece [outer, 8, inner, 8 channels].
struct Places {
  int64_t outer, inner;

  Places(const Canvas& canvas, const Piece& piece) {
    const Around around = canvas.around(piece.subset, kDirection, piece.subset.has(kExample));
    outer = around.outer;
    inner = around.inner;
  }
  int64_t count() const { return outer * inner; }
  // Where the channels of a direction begin.
  int64_t at(int64_t place, int64_t direction) const {
    return ((place / inner * kDirections + direction) * inner + place % inner) * kChannels;
  }
  template <class T>
  void take(T* to, const T* from, int64_t first, int64_t places) const {
    for (int64_t n = 0; n < places; ++n)
      for (int64_t d = 0; d < kDirections; ++d)
        std::copy_n(from + at(first + n, d), kChannels, to + n * kAll + d * kChannels);
  }
  // to = base (0 if null) + from.
  template <class T>
  void put(T* to, const T* base, const T* from, int64_t first, int64_t places) const {
    for (int64_t n = 0; n < places; ++n)
      for (int64_t d = 0; d < kDirections; ++d) {
        const int64_t where = at(first + n, d);
        for (int64_t c = 0; c < kChannels; ++c)
          to[where + c] = (base ? base[where + c] : T(0)) + from[n * kAll + d * kChannels + c];
      }
  }
};

// y [places, kAll] = x w.
template <class T>
void multiply_all(T* y, const T* x, const T* w, int64_t places) {
  for (int64_t column = 0; column < kAll; column += kColumn)
    multiply_onto<kColumn, T>({y + column, kAll}, {nullptr, 0}, {x, kAll}, {w + column, kAll},
                              places, kAll);
}

// The matrices of all subsets, and those the other way round.
template <class T>
struct Matrices {
  explicit Matrices(const Multitensor<Tensor>& maps) {
    for (const Subset s : directed_subsets()) {
      const T* from = maps[s.owner()].template data<T>();
      there[s].resize(kAll * kAll);
      back[s].resize(kAll * kAll);
      for_elements(direction_maps(s), [&](int64_t element, int64_t of_map, double near) {
        there[s][element] = static_cast<T>(near) * from[of_map];
      });
      transpose(back[s].data(), there[s].data(), kAll, kAll);
    }
  }
  Multitensor<std::vector<T>> there, back;
};

template <class T>
void forward_as(const Canvas& canvas, const Stream& x, const Stream& normalized, const Weights& w,
                Stream& y) {
  const Matrices<T> matrices(w.down);
  for_pieces(canvas, [&](size_t, const Piece& piece) {
    if (!piece.subset.has(kDirection)) return;
    const Places places(canvas, piece);
    for_blocks(places.count(), [&](int64_t first, int64_t count) {
      T said[kBlock * kAll], heard[kBlock * kAll];
      places.take(said, piece.of<T>(normalized), first, count);
      multiply_all(heard, said, matrices.there[piece.subset].data(), count);
      places.put<T>(piece.of<T>(y), piece.of<T>(x), heard, first, count);
    });
  });
}

// gradient: that of what was normalized.
template <class T>
void backward_as(const Canvas& canvas, const Stream& normalized, const Weights& w, const Stream& dy,
                 Stream& gradient, Multitensor<Tensor>& dmaps) {
  const Matrices<T> matrices(w.down);
  // Each piece sums the gradient of its whole matrix, whose elements share maps.
  std::vector<size_t> first_sum;
  size_t elements = 0;
  for (const Piece& piece : canvas.pieces) {
    first_sum.push_back(elements);
    if (piece.subset.has(kDirection)) elements += kAll * kAll;
  }
  std::vector<T> sums(elements);
  for_pieces(canvas, [&](size_t i, const Piece& piece) {
    if (!piece.subset.has(kDirection)) return;
    const Places places(canvas, piece);
    for_blocks(places.count(), [&](int64_t first, int64_t count) {
      T said[kBlock * kAll], heard[kBlock * kAll], back[kBlock * kAll];
      places.take(said, piece.of<T>(normalized), first, count);
      places.take(heard, piece.of<T>(dy), first, count);
      for (int64_t column = 0; column < kAll; column += kColumn)
        add_outer<kColumn, T>({sums.data() + first_sum[i] + column, kAll}, {said, kAll},
                              {heard + column, kAll}, count, kAll);
      multiply_all(back, heard, matrices.back[piece.subset].data(), count);
      places.put<T>(piece.of<T>(gradient), nullptr, back, first, count);
    });
  });
  for (const Subset s : directed_subsets())
    if (s.owner() == s) dmaps[s] = zeros(w.down[s].shape(), canvas.dtype);
  for (size_t i = 0; i < first_sum.size(); ++i) {
    const Subset s = canvas.pieces[i].subset;
    if (!s.has(kDirection)) continue;
    T* to = dmaps[s.owner()].template data<T>();
    for_elements(direction_maps(s), [&](int64_t element, int64_t of_map, double near) {
      to[of_map] += static_cast<T>(near) * sums[first_sum[i] + static_cast<size_t>(element)];
    });
  }
}

}  // namespace

const DirectionMaps& direction_maps(Subset s) {
  static const DirectionMaps square = number_maps(0, turned_alike);
  static const DirectionMaps rows = number_maps(0, reflected_alike);
  static const DirectionMaps cols = number_maps(2, reflected_alike);
  if (s.has(kRow) == s.has(kCol)) return square;
  return s.has(kRow) ? rows : cols;
}

ShareDirections::ShareDirections(const Canvas& canvas)
    : Layer("share_directions", canvas, directed_subsets()) {}

Stream ShareDirections::forward(const Stream& x, const Weights& weights, Kept& kept) const {
  kept.norms = norms_of(canvas_, changes_, x);
  Stream y, normalized = canvas_.scratch(changes_, kChannels);
  normalize(canvas_, changes_, normalized, x, kept.norms);
  y = canvas_.stream(changes_);
  visit_real(canvas_.dtype, [&]<class T>() { forward_as<T>(canvas_, x, normalized, weights, y); });
  return y;
}

Layer::Gradients ShareDirections::backward(const Stream& x, const Weights& weights,
                                           const Kept& kept, const Stream& dy) const {
  Gradients gradients;
  Stream normalized = canvas_.scratch(changes_, kChannels);
  normalize(canvas_, changes_, normalized, x, kept.norms);
  gradients.x = canvas_.stream(changes_);
  visit_real(canvas_.dtype, [&]<class T>() {
    backward_as<T>(canvas_, normalized, weights, dy, gradients.x, gradients.weights.down);
    undo_normalize(canvas_, changes_, gradients.x, normalized, kept.norms);
    // And what passes by.
    for_pieces(canvas_, [&](size_t, const Piece& piece) {
      if (!piece.subset.has(kDirection)) return;
      const T* from = piece.of<T>(dy);
      T* to = piece.of<T>(gradients.x);
      for (int64_t j = 0; j < piece.cells * kChannels; ++j) to[j] += from[j];
    });
  });
  return gradients;
}

}  // namespace hrm::compressarc

// Softmaxes over all sets of axes at once.
#include <memory>

#include "examples/compressarc/layers/layer.h"
#include "examples/compressarc/layers/weight_sums.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::compressarc {
namespace {

constexpr int kInside = Softmax::kInside;
// Shares of a cell: two channels for each of up to 15 sets.
constexpr int64_t kMostShares = 32;
// Cells that are worked on at a time, with all their shares.
constexpr int64_t kTile = 128;

// The axes of a tensor that a softmax may run over.
constexpr std::array<Axis, 4> kSoftmaxAxes = {kColour, kDirection, kRow, kCol};

}  // namespace

// For one set of axes: a table with two numbers for all the positions along the other axes.
struct Table {
  Subset set;     // that is summed over
  Subset less;    // the same but for one axis
  Axis axis;      // that one
  int64_t first;  // of the table among all of them, in positions
  int64_t positions;
  Around around;  // the table of `less` (or the cells) around that axis
};

// The tables of a subset, and which of their positions a cell has.
class Tables {
 public:
  Tables(const Canvas& canvas, Subset s) {
    int64_t cells = 1;
    for (const Axis axis : kSoftmaxAxes)
      if (s.has(axis)) cells *= canvas.sizes[axis];
    for (const Subset set : softmax_sets(s)) {
      Table table{set, set, kExample, positions_, cells, {}};
      for (const Axis axis : kSoftmaxAxes)
        if (set.has(axis)) {
          table.positions /= canvas.sizes[axis];
          table.axis = axis;
        }
      table.less = set.without(table.axis);
      // What is left of the axes while that one is still there.
      for (const Axis axis : kSoftmaxAxes) {
        if (!s.has(axis) || table.less.has(axis)) continue;
        if (axis < table.axis) table.around.outer *= canvas.sizes[axis];
        if (axis == table.axis) table.around.length = canvas.sizes[axis];
        if (axis > table.axis) table.around.inner *= canvas.sizes[axis];
      }
      positions_ += table.positions;
      tables_.push_back(table);
    }
    find_positions(canvas, s, cells);
  }

  const std::vector<Table>& list() const { return tables_; }
  const Table& of(Subset set) const {
    return *std::find_if(tables_.begin(), tables_.end(),
                         [&](const Table& table) { return table.set == set; });
  }
  int64_t positions() const { return positions_; }
  int64_t shares() const { return kInside * std::ssize(tables_); }
  // Of a cell: one for each table.
  const int32_t* at(int64_t cell) const { return at_.data() + cell * std::ssize(tables_); }

 private:
  void find_positions(const Canvas& canvas, Subset s, int64_t cells) {
    at_.resize(static_cast<size_t>(cells * std::ssize(tables_)));
    for (int64_t cell = 0; cell < cells; ++cell)
      for (size_t j = 0; j < tables_.size(); ++j) {
        int64_t rest = cell, position = 0, stride = 1;
        for (auto axis = kSoftmaxAxes.rbegin(); axis != kSoftmaxAxes.rend(); ++axis) {
          if (!s.has(*axis)) continue;
          const int64_t place = rest % canvas.sizes[*axis];
          rest /= canvas.sizes[*axis];
          if (tables_[j].set.has(*axis)) continue;
          position += place * stride;
          stride *= canvas.sizes[*axis];
        }
        at_[cell * tables_.size() + j] = static_cast<int32_t>(tables_[j].first + position);
      }
  }

  std::vector<Table> tables_;
  int64_t positions_ = 0;
  std::vector<int32_t> at_;
};

struct SoftmaxTables {
  Multitensor<std::unique_ptr<Tables>> of;
};

namespace {

// What a piece works with.
template <class T>
struct Space {
  T* p;       // [cells, 2]: x down
  T* most;    // [positions, 2]: the largest of those that are summed
  T* scale;   // [positions, 2]: 1 / the sum of exp(p - most)
  T* slopes;  // [positions, 2]: sums of shares times their gradients
  T* terms;   // [cells, 2]

  static int64_t elements(int64_t cells, int64_t positions) { return 4 * cells + 6 * positions; }
  Space(T* begin, int64_t cells, int64_t positions)
      : p(begin),
        most(p + 2 * cells),
        scale(most + 2 * positions),
        slopes(scale + 2 * positions),
        terms(slopes + 2 * positions) {}
};

// most [outer, inner] = the largest of values [outer, length, inner]; sums = those of exp(values -
// most) * factors (1 if null), which are left in terms. Each with two channels.
template <class T>
void max_and_sum(T* most, T* sums, T* terms, const T* values, const T* factors, const Around& a) {
  const int64_t inner = kInside * a.inner;
  for (int64_t o = 0; o < a.outer; ++o) {
    T *top = most + o * inner, *sum = sums + o * inner, *term = terms + o * a.length * inner;
    const T* value = values + o * a.length * inner;
    std::copy(value, value + inner, top);
    for (int64_t l = 1; l < a.length; ++l)
      for (int64_t i = 0; i < inner; ++i) top[i] = std::max(top[i], value[l * inner + i]);
    for (int64_t l = 0; l < a.length; ++l)
      for (int64_t i = 0; i < inner; ++i) term[l * inner + i] = value[l * inner + i] - top[i];
    std::fill(sum, sum + inner, T(0));
  }
  const int64_t all = a.outer * a.length * inner;
  for (int64_t i = 0; i < all; ++i) terms[i] = cpu::fast_exp(terms[i]);
  if (factors)
    for (int64_t i = 0; i < all; ++i) terms[i] *= factors[i];
  for (int64_t o = 0; o < a.outer; ++o)
    for (int64_t l = 0; l < a.length; ++l)
      for (int64_t i = 0; i < inner; ++i)
        sums[o * inner + i] += terms[(o * a.length + l) * inner + i];
}

// Of every set the largest value and the sum: from those of a set with an axis less.
template <class T>
void fill_tables(const Tables& tables, const Space<T>& space) {
  for (const Table& table : tables.list()) {
    T *most = space.most + 2 * table.first, *sums = space.scale + 2 * table.first;
    if (table.less.bits == 0) {
      max_and_sum<T>(most, sums, space.terms, space.p, nullptr, table.around);
    } else {
      const int64_t less = 2 * tables.of(table.less).first;
      max_and_sum<T>(most, sums, space.terms, space.most + less, space.scale + less, table.around);
    }
  }
  for (int64_t i = 0; i < 2 * tables.positions(); ++i) space.scale[i] = 1 / space.scale[i];
}

template <class T>
using Pair = Vector<T, kInside>;
template <class T>
Pair<T> pair_at(const T* from) {
  Pair<T> pair;
  load(pair, from);
  return pair;
}

// shares [cells, kMostShares] of the cells [first, first + cells).
template <class T>
void find_shares(T* shares, const Tables& tables, const Space<T>& space, int64_t first,
                 int64_t cells) {
  const int64_t sets = std::ssize(tables.list());
  for (int64_t n = 0; n < cells; ++n) {
    const int32_t* at = tables.at(first + n);
    const Pair<T> p = pair_at(space.p + 2 * (first + n));
    T* to = shares + n * kMostShares;
    for (int64_t j = 0; j < sets; ++j) store(to + 2 * j, p - pair_at(space.most + 2 * at[j]));
    std::fill(to + 2 * sets, to + kMostShares, T(-1000));
  }
  for (int64_t i = 0; i < cells * kMostShares; ++i) shares[i] = cpu::fast_exp(shares[i]);
  for (int64_t n = 0; n < cells; ++n) {
    const int32_t* at = tables.at(first + n);
    T* to = shares + n * kMostShares;
    for (int64_t j = 0; j < sets; ++j)
      store(to + 2 * j, pair_at(to + 2 * j) * pair_at(space.scale + 2 * at[j]));
  }
}

template <class F>
void for_tiles(int64_t cells, const F& f) {
  for (int64_t first = 0; first < cells; first += kTile) f(first, std::min(kTile, cells - first));
}

// Space for all pieces.
template <class T>
class Spaces {
 public:
  Spaces(const Canvas& canvas, const SoftmaxTables& tables) : tables_(tables) {
    int64_t elements = 0;
    for (const Piece& piece : canvas.pieces) {
      first_.push_back(elements);
      elements += Space<T>::elements(piece.cells, tables.of[piece.subset]->positions());
    }
    memory_ = Tensor({elements}, canvas.dtype);
  }
  Space<T> of(size_t i, const Piece& piece) const {
    return {memory_.data<T>() + first_[i], piece.cells, tables_.of[piece.subset]->positions()};
  }

 private:
  const SoftmaxTables& tables_;
  std::vector<int64_t> first_;
  Tensor memory_;
};

template <class T>
void softmax_forward(const Canvas& canvas, const SoftmaxTables& all, const Stream& x,
                     const Weights& w, Stream& y) {
  const Spaces<T> spaces(canvas, all);
  for_pieces(canvas, [&](size_t i, const Piece& piece) {
    const Tables& tables = *all.of[piece.subset];
    const Space<T> space = spaces.of(i, piece);
    const Subset owner = piece.subset.owner();
    const T* from = piece.of<T>(x);
    multiply<kInside>(space.p, from, w.down[owner].data<T>(), piece.cells, piece.subset.channels());
    fill_tables(tables, space);
    visit_channels(piece.subset.channels(), [&]<int kChannels>() {
      for_tiles(piece.cells, [&](int64_t first, int64_t cells) {
        T shares[kTile * kMostShares];
        find_shares(shares, tables, space, first, cells);
        multiply_onto<kChannels, T>({piece.of<T>(y) + first * kChannels, kChannels},
                                    {from + first * kChannels, kChannels}, {shares, kMostShares},
                                    {w.up[owner].data<T>(), kChannels}, cells, tables.shares());
      });
    });
  });
}

// The columns of the matrix that leads from the gradient of y to those of the shares: up
// transposed, with zeros where there are no shares.
template <class T>
std::vector<T> from_up(const Tensor& up) {
  const int64_t shares = up.size(0), channels = up.size(1);
  std::vector<T> matrix(static_cast<size_t>(channels * kMostShares));
  for (int64_t j = 0; j < shares; ++j)
    for (int64_t c = 0; c < channels; ++c)
      matrix[c * kMostShares + j] = up.data<T>()[j * channels + c];
  return matrix;
}

// Of the cells of a tile: their shares times the gradients of these.
template <int kChannels, class T>
void find_slopes(T* slopes, const T* shares, const T* dy, const std::vector<T>& matrix,
                 int64_t cells) {
  for (int64_t column = 0; column < kMostShares; column += 16)
    multiply_onto<16, T>({slopes + column, kMostShares}, {nullptr, 0}, {dy, kChannels},
                         {matrix.data() + column, kMostShares}, cells, kChannels);
  for (int64_t i = 0; i < cells * kMostShares; ++i) slopes[i] *= shares[i];
}

// From the gradient of y to that of p, in the place of the terms; and the sum for up.
template <int kChannels, class T>
void through_softmaxes(const Tables& tables, const Space<T>& space, const T* dy,
                       const std::vector<T>& matrix, int64_t all_cells, T* up_sum) {
  const int64_t sets = std::ssize(tables.list());
  T shares[kTile * kMostShares], slopes[kTile * kMostShares];
  std::fill(space.slopes, space.slopes + 2 * tables.positions(), T(0));
  for_tiles(all_cells, [&](int64_t first, int64_t cells) {
    const T* gradient = dy + first * kChannels;
    find_shares(shares, tables, space, first, cells);
    add_outer<kChannels, T>({up_sum, kChannels}, {shares, kMostShares}, {gradient, kChannels},
                            cells, tables.shares());
    find_slopes<kChannels>(slopes, shares, gradient, matrix, cells);
    Pair<T> whole = {};  // the last set, of all axes, has one sum: tile by tile it keeps its digits
    for (int64_t n = 0; n < cells; ++n) {
      const int32_t* at = tables.at(first + n);
      const T* slope = slopes + n * kMostShares;
      Pair<T> sum = pair_at(slope + 2 * (sets - 1));
      whole += sum;
      for (int64_t j = 0; j + 1 < sets; ++j) {
        const Pair<T> of_set = pair_at(slope + 2 * j);
        T* total = space.slopes + 2 * at[j];
        sum += of_set;
        store(total, pair_at(total) + of_set);
      }
      store(space.terms + 2 * (first + n), sum);
    }
    T* all = space.slopes + 2 * tables.list().back().first;
    store(all, pair_at(all) + whole);
  });
  for_tiles(all_cells, [&](int64_t first, int64_t cells) {
    find_shares(shares, tables, space, first, cells);
    for (int64_t n = 0; n < cells; ++n) {
      const int32_t* at = tables.at(first + n);
      const T* share = shares + n * kMostShares;
      T* to = space.terms + 2 * (first + n);
      Pair<T> sum = pair_at(to);
      for (int64_t j = 0; j < sets; ++j)
        sum -= pair_at(share + 2 * j) * pair_at(space.slopes + 2 * at[j]);
      store(to, sum);
    }
  });
}

template <class T>
void softmax_backward(const Canvas& canvas, const SoftmaxTables& all, const Stream& x,
                      const Weights& w, const Stream& dy, Stream& dx, Weights& dw) {
  const Spaces<T> spaces(canvas, all);
  WeightSums<T> down_sums(canvas, w.down), up_sums(canvas, w.up);
  const auto downs = transposed<T>(w.down);
  Multitensor<std::vector<T>> matrices;
  for (const Subset s : subsets())
    if (s.owner() == s) matrices[s] = from_up<T>(w.up[s]);
  for_pieces(canvas, [&](size_t i, const Piece& piece) {
    const Tables& tables = *all.of[piece.subset];
    const Space<T> space = spaces.of(i, piece);
    const Subset owner = piece.subset.owner();
    const int64_t channels = piece.subset.channels();
    const T *from = piece.of<T>(x), *gradient = piece.of<T>(dy);
    multiply<kInside>(space.p, from, w.down[owner].data<T>(), piece.cells, channels);
    fill_tables(tables, space);
    visit_channels(channels, [&]<int kChannels>() {
      through_softmaxes<kChannels>(tables, space, gradient, matrices[owner], piece.cells,
                                   up_sums.of(i));
      add_outer<kInside>(down_sums.of(i), from, space.terms, piece.cells, channels);
      multiply_onto<kChannels>(piece.of<T>(dx), gradient, space.terms, downs[owner].data(),
                               piece.cells, kInside);
    });
  });
  dw = {down_sums.total(), up_sums.total()};
}

}  // namespace

std::vector<Subset> softmax_sets(Subset s) {
  const auto axes_of = [](Subset set) {
    std::vector<int> axes;
    for (const Axis axis : kSoftmaxAxes)
      if (set.has(axis)) axes.push_back(axis);
    return axes;
  };
  std::vector<Subset> sets;
  for (unsigned bits = 1; bits < 1u << kAxes; ++bits)
    if (!Subset{bits}.has(kExample) && s.contains({bits})) sets.push_back({bits});
  std::sort(sets.begin(), sets.end(), [&](Subset a, Subset b) {
    return a.count() != b.count() ? a.count() < b.count() : axes_of(a) < axes_of(b);
  });
  return sets;
}

Softmax::Softmax(const Canvas& canvas) : Layer("softmax", canvas, subsets()) {
  auto tables = std::make_shared<SoftmaxTables>();
  for (const Subset s : subsets()) tables->of[s] = std::make_unique<Tables>(canvas, s);
  tables_ = tables;
}

Stream Softmax::forward(const Stream& x, const Weights& weights, Kept&) const {
  Stream y = canvas_.stream(changes_);
  visit_real(canvas_.dtype,
             [&]<class T>() { softmax_forward<T>(canvas_, *tables_, x, weights, y); });
  return y;
}

Layer::Gradients Softmax::backward(const Stream& x, const Weights& weights, const Kept&,
                                   const Stream& dy) const {
  Gradients gradients = {canvas_.stream(changes_), {}};
  visit_real(canvas_.dtype, [&]<class T>() {
    softmax_backward<T>(canvas_, *tables_, x, weights, dy, gradients.x, gradients.weights);
  });
  return gradients;
}

}  // namespace hrm::compressarc

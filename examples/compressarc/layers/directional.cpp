// Along eight directions: running maxima and shifts.
#include <limits>

#include "examples/compressarc/layers/layer.h"
#include "examples/compressarc/layers/weight_sums.h"
#include "kernels/scan.h"

namespace hrm::compressarc {
namespace {

constexpr int kInside = Directional::kInside;
// Far below and above all values, for cells that are outside of their grid.
constexpr double kFar = 1000;

template <class T>
using Four = Vector<T, kInside>;
// What a comparison of two of them gives.
template <class T>
using Mask = decltype(Four<T>{} < Four<T>{});

// Of a direction's four channels, 0 and 2 go along it and 1 and 3 the other way. What comes out
// has them in the order 0, 2, 1, 3.
constexpr std::array<int, kInside> kPlaceOf = {0, 2, 1, 3};

// The cell that is the i-th of a line for channel c: every channel is walked in its own direction.
int64_t cell_of(const PlaneLines::Line& line, int64_t i, int c) {
  return line.first + line.step * (c % 2 == 0 ? i : line.length - 1 - i);
}

template <class T>
void take_values(std::array<Four<T>, kLongestSide>& to, const T* plane,
                 const PlaneLines::Line& line) {
  for (int64_t i = 0; i < line.length; ++i)
    for (int c = 0; c < kInside; ++c) to[i][c] = plane[cell_of(line, i, c) * kInside + c];
}

// The largest value so far, and where it was a new one; the largest and smallest of the line.
template <class T>
struct Walk {
  std::array<Four<T>, kLongestSide> so_far, far;
  std::array<Mask<T>, kLongestSide> is_new;
  Four<T> most, least, place_of_least;
};

template <class T>
void walk(Walk<T>& w, const std::array<Four<T>, kLongestSide>& values,
          const std::array<Four<T>, kLongestSide>& inside, int64_t length) {
  for (int64_t i = 0; i < length; ++i) w.far[i] = static_cast<T>(kFar) * (1 - inside[i]);
  w.most = Four<T>{} - std::numeric_limits<T>::infinity();
  w.least = Four<T>{} + std::numeric_limits<T>::infinity();
  w.place_of_least = Four<T>{};
  for (int64_t i = 0; i < length; ++i) {
    const Four<T> low = values[i] - w.far[i], high = values[i] + w.far[i];
    w.is_new[i] = low >= w.most;
    w.most = w.is_new[i] ? low : w.most;
    w.so_far[i] = w.most + w.far[i];
    const Four<T> here = Four<T>{} + static_cast<T>(i);
    w.place_of_least = high < w.least ? here : w.place_of_least;
    w.least = high < w.least ? high : w.least;
  }
}

// Of a cell: where the largest value so far stands between the smallest (-1) and the largest (1) of
// its line. Along rows and columns cells outside are carried along; along diagonals they are 0.
template <class T>
struct Standing {
  Four<T> above, range, factor;  // 2 above / range - 1, times the factor

  Standing(const Walk<T>& w, const Four<T>& inside, int64_t i, bool diagonal) {
    const T margin = diagonal ? T(0) : T(1e-3), more = diagonal ? T(1e-5) : T(0);
    const Four<T> highest = w.most + w.far[i] + margin, lowest = w.least - w.far[i] - margin;
    above = w.so_far[i] - lowest;
    range = highest - lowest + more;
    factor = diagonal ? inside : Four<T>{} + 1;
  }
};

template <class T>
void cummax_line(T* z, const T* p, const T* inside4, const PlaneLines::Line& line, bool diagonal) {
  std::array<Four<T>, kLongestSide> values = {}, inside = {};
  Walk<T> w;
  take_values(values, p, line);
  take_values(inside, inside4, line);
  walk(w, values, inside, line.length);
  for (int64_t i = 0; i < line.length; ++i) {
    const Standing<T> s(w, inside[i], i, diagonal);
    const Four<T> result = s.factor * (2 * s.above / s.range - 1);
    for (int c = 0; c < kInside; ++c) z[cell_of(line, i, c) * kInside + kPlaceOf[c]] = result[c];
  }
}

template <class T>
void cummax_line_backward(T* dp, const T* dz, const T* p, const T* inside4,
                          const PlaneLines::Line& line, bool diagonal) {
  std::array<Four<T>, kLongestSide> values = {}, inside = {}, so_far_gradients, sums;
  Walk<T> w;
  take_values(values, p, line);
  take_values(inside, inside4, line);
  walk(w, values, inside, line.length);
  Four<T> most_gradient = {}, least_gradient = {};
  for (int64_t i = 0; i < line.length; ++i) {
    const Standing<T> s(w, inside[i], i, diagonal);
    Four<T> g;
    for (int c = 0; c < kInside; ++c) g[c] = dz[cell_of(line, i, c) * kInside + kPlaceOf[c]];
    const Four<T> slope = 2 * g * s.factor / s.range;
    so_far_gradients[i] = slope;
    most_gradient -= slope * s.above / s.range;
    least_gradient += slope * (s.above - s.range) / s.range;
  }
  // What a largest value so far says goes to the last cell that raised it, and that of the line's
  // largest to the last of equal ones. (Others choose the first: any of them is a subgradient.)
  Four<T> waiting = most_gradient;
  for (int64_t i = line.length - 1; i >= 0; --i) {
    waiting += so_far_gradients[i];
    sums[i] = w.is_new[i] ? waiting : Four<T>{};
    waiting = w.is_new[i] ? Four<T>{} : waiting;
  }
  for (int c = 0; c < kInside; ++c)
    sums[static_cast<size_t>(w.place_of_least[c])][c] += least_gradient[c];
  for (int64_t i = 0; i < line.length; ++i)
    for (int c = 0; c < kInside; ++c) dp[cell_of(line, i, c) * kInside + c] = sums[i][c];
}

// The planes of a piece: one direction, and maybe one colour, each.
template <class T>
class Planes {
 public:
  Planes(const Canvas& canvas, const Piece& piece, Directional::Kind kind)
      : rows_(canvas.sizes[kRow]),
        cols_(canvas.sizes[kCol]),
        count_(piece.cells / cells()),
        kind_(kind),
        inside_(canvas.inside.data<T>() + piece.example * cells() * kInside) {}
  int64_t cells() const { return rows_ * cols_; }
  int64_t count() const { return count_; }

  // p = what is inside of it.
  void mask(T* p) const {
    for (int64_t i = 0; i < cells() * kInside; ++i) p[i] *= inside_[i];
  }
  void forward(T* z, const T* p, int64_t plane) const {
    const auto& step = kSteps[plane % kDirections];
    if (kind_ == Directional::Kind::cummax)
      for_lines(step, [&](const PlaneLines::Line& line, bool diagonal) {
        cummax_line(z, p, inside_, line, diagonal);
      });
    else
      for_neighbours(step, [&](int64_t cell, int64_t neighbour, int c) {
        z[cell * kInside + kPlaceOf[c]] = neighbour < 0 ? T(0) : p[neighbour * kInside + c];
      });
  }
  void backward(T* dp, const T* dz, const T* p, int64_t plane) const {
    const auto& step = kSteps[plane % kDirections];
    if (kind_ == Directional::Kind::cummax) {
      for_lines(step, [&](const PlaneLines::Line& line, bool diagonal) {
        cummax_line_backward(dp, dz, p, inside_, line, diagonal);
      });
    } else {
      std::fill(dp, dp + cells() * kInside, T(0));
      for_neighbours(step, [&](int64_t cell, int64_t neighbour, int c) {
        if (neighbour >= 0) dp[neighbour * kInside + c] = dz[cell * kInside + kPlaceOf[c]];
      });
    }
  }

 private:
  template <class F>
  void for_lines(const std::array<int, 2>& step, const F& f) const {
    PlaneLines lines;
    lines.rows = rows_;
    lines.cols = cols_;
    lines.row_step = step[0];
    lines.col_step = step[1];
    for (int64_t i = 0; i < lines.lines(); ++i) f(lines.line(i), step[0] != 0 && step[1] != 0);
  }
  // f(cell, the one that a channel comes from or -1, channel).
  template <class F>
  void for_neighbours(const std::array<int, 2>& step, const F& f) const {
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t col = 0; col < cols_; ++col)
        for (int c = 0; c < kInside; ++c) {
          const int sign = c % 2 == 0 ? 1 : -1;
          const int64_t r = row - sign * step[0], k = col - sign * step[1];
          const bool there = r >= 0 && r < rows_ && k >= 0 && k < cols_;
          f(row * cols_ + col, there ? r * cols_ + k : -1, c);
        }
  }

  int64_t rows_, cols_, count_;
  Directional::Kind kind_;
  const T* inside_;  // [cells, kInside]
};

// What lies along the directions of p = x down, and p, inside of grids.
template <class T>
struct Walked {
  Stream p, z;
};
template <class T>
Walked<T> walk_directions(const Canvas& canvas, Directional::Kind kind, const Stream& x,
                          const Weights& w) {
  const std::vector<Subset> which = walking_subsets();
  Walked<T> walked = {canvas.scratch(which, kInside), canvas.scratch(which, kInside)};
  for_pieces(canvas, [&](size_t, const Piece& piece) {
    if (!contains(which, piece.subset)) return;
    const Planes<T> planes(canvas, piece, kind);
    T *p = piece.of<T>(walked.p), *z = piece.of<T>(walked.z);
    multiply<kInside>(p, piece.of<T>(x), w.down[piece.subset.owner()].template data<T>(),
                      piece.cells, piece.subset.channels());
    for (int64_t plane = 0; plane < planes.count(); ++plane) {
      const int64_t first = plane * planes.cells() * kInside;
      planes.mask(p + first);
      planes.forward(z + first, p + first, plane);
    }
  });
  return walked;
}

template <class T>
Stream directional(const Canvas& canvas, Directional::Kind kind, const Stream& x, const Weights& w,
                   Norms& norms) {
  const std::vector<Subset> which = walking_subsets();
  Stream y, z = walk_directions<T>(canvas, kind, x, w).z;
  norms = norms_of(canvas, which, z);
  normalize(canvas, which, z, z, norms);
  y = canvas.stream(which);
  for_pieces(canvas, [&](size_t, const Piece& piece) {
    if (!contains(which, piece.subset)) return;
    visit_channels(piece.subset.channels(), [&]<int kChannels>() {
      multiply_onto<kChannels>(piece.of<T>(y), piece.of<T>(x), piece.of<T>(z),
                               w.up[piece.subset.owner()].template data<T>(), piece.cells, kInside);
    });
  });
  return y;
}

template <class T>
void directional_backward(const Canvas& canvas, Directional::Kind kind, const Stream& x,
                          const Weights& w, const Norms& norms, const Stream& dy, Stream& dx,
                          Weights& dw) {
  const std::vector<Subset> which = walking_subsets();
  const Walked<T> walked = walk_directions<T>(canvas, kind, x, w);
  Stream z = walked.z, dz = canvas.scratch(which, kInside);
  normalize(canvas, which, z, z, norms);
  WeightSums<T> down_sums(canvas, w.down), up_sums(canvas, w.up);
  const auto downs = transposed<T>(w.down), ups = transposed<T>(w.up);
  for_pieces(canvas, [&](size_t i, const Piece& piece) {
    if (!contains(which, piece.subset)) return;
    const int64_t channels = piece.subset.channels();
    visit_channels(channels, [&]<int kChannels>() {
      add_outer<kChannels>(up_sums.of(i), piece.of<T>(z), piece.of<T>(dy), piece.cells, kInside);
    });
    multiply<kInside>(piece.of<T>(dz), piece.of<T>(dy), ups[piece.subset.owner()].data(),
                      piece.cells, channels);
  });
  undo_normalize(canvas, which, dz, z, norms);
  for_pieces(canvas, [&](size_t i, const Piece& piece) {
    if (!contains(which, piece.subset)) return;
    const Planes<T> planes(canvas, piece, kind);
    T dp[kLongestSide * kLongestSide * kInside];
    const T* p = piece.of<T>(walked.p);
    T* gradient = piece.of<T>(dz);
    for (int64_t plane = 0; plane < planes.count(); ++plane) {
      const int64_t first = plane * planes.cells() * kInside;
      planes.backward(dp, gradient + first, p + first, plane);
      planes.mask(dp);
      std::copy_n(dp, planes.cells() * kInside, gradient + first);
    }
    add_outer<kInside>(down_sums.of(i), piece.of<T>(x), gradient, piece.cells,
                       piece.subset.channels());
    visit_channels(piece.subset.channels(), [&]<int kChannels>() {
      multiply_onto<kChannels>(piece.of<T>(dx), piece.of<T>(dy), gradient,
                               downs[piece.subset.owner()].data(), piece.cells, kInside);
    });
  });
  dw = {down_sums.total(), up_sums.total()};
}

}  // namespace

std::vector<Subset> walking_subsets() {
  std::vector<Subset> walking;
  for (const Subset s : subsets())
    if (s.has(kDirection) && s.has(kRow) && s.has(kCol)) walking.push_back(s);
  return walking;
}

Stream Directional::forward(const Stream& x, const Weights& weights, Kept& kept) const {
  Stream y;
  visit_real(canvas_.dtype,
             [&]<class T>() { y = directional<T>(canvas_, kind_, x, weights, kept.norms); });
  return y;
}

Layer::Gradients Directional::backward(const Stream& x, const Weights& weights, const Kept& kept,
                                       const Stream& dy) const {
  Gradients gradients = {canvas_.stream(changes_), {}};
  visit_real(canvas_.dtype, [&]<class T>() {
    directional_backward<T>(canvas_, kind_, x, weights, kept.norms, dy, gradients.x,
                            gradients.weights);
  });
  return gradients;
}

}  // namespace hrm::compressarc

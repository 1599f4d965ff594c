// Layers in which tensors hear those that depend on less, or on more. What all of them say is added
// up axis by axis, so that every tensor is read once for each of its axes, and not once for each of
// those that hear it.
#include "examples/compressarc/layers/layer.h"
#include "examples/compressarc/layers/weight_sums.h"

namespace hrm::compressarc {
namespace {

bool placed(Subset s) { return s.has(kRow) || s.has(kCol); }

// The weights of the cells along an axis, of a tensor seen around it: those of outer position o, of
// place l on the axis and of inner position i are
// data[o % period * by_outer + l * by_length + i * by_inner].
template <class T>
struct AxisWeights {
  const T* data;
  int64_t period = 1, by_outer = 0, by_length = 0, by_inner = 0;

  T operator()(int64_t o, int64_t l, int64_t i) const {
    return data[o % period * by_outer + l * by_length + i * by_inner];
  }
};

// small [outer, inner] += the sum along the axis of weight * big [outer, length, inner].
template <int kWide, class T>
void gather(T* small, const T* big, const Around& a, const AxisWeights<T>& weights) {
  for (int64_t o = 0; o < a.outer; ++o)
    for (int64_t i = 0; i < a.inner; ++i) {
      T* to = small + (o * a.inner + i) * kWide;
      Vector<T, kWide> sum, v;
      load(sum, to);
      for (int64_t l = 0; l < a.length; ++l) {
        load(v, big + ((o * a.length + l) * a.inner + i) * kWide);
        sum += weights(o, l, i) * v;
      }
      store(to, sum);
    }
}

// big [outer, length, inner] += weight * small [outer, inner].
template <int kWide, class T>
void spread(T* big, const T* small, const Around& a, const AxisWeights<T>& weights) {
  for (int64_t o = 0; o < a.outer; ++o)
    for (int64_t l = 0; l < a.length; ++l)
      for (int64_t i = 0; i < a.inner; ++i) {
        T* to = big + ((o * a.length + l) * a.inner + i) * kWide;
        Vector<T, kWide> sum, v;
        load(sum, to);
        load(v, small + (o * a.inner + i) * kWide);
        sum += weights(o, l, i) * v;
        store(to, sum);
      }
}

enum class Rule { sums, means };

// Both directions of adding up, over tensors of kWide channels.
template <int kWide, class T>
class Sharing {
 public:
  Sharing(const Canvas& canvas, Rule rule) : canvas_(canvas), rule_(rule) {
    for (int axis = 0; axis < kAxes; ++axis)
      one_over_size_[axis] = rule == Rule::sums ? T(1) : T(1) / static_cast<T>(canvas.sizes[axis]);
  }

  // Every tensor is added to all those that depend on less: columns go first.
  void downwards(const Stream& x) const {
    for_examples(canvas_, [&](int64_t n) {
      for (const Axis axis : {kCol, kRow, kDirection, kColour})
        for (const Subset s : subsets())
          if (placed(s) && s.has(axis)) gather_one(x, s, axis, n, true);
    });
    for (const Axis axis : {kDirection, kColour, kExample})
      for (const Subset s : subsets())
        if (!placed(s) && s.has(axis)) gather_one(x, s, axis, 0, false);
  }

  // The same the other way round: every tensor is added to all those that depend on more.
  void upwards(const Stream& x) const {
    for (const Axis axis : {kExample, kColour, kDirection})
      for (const Subset s : subsets())
        if (!placed(s) && s.has(axis)) spread_one(x, s, axis, 0, false);
    for_examples(canvas_, [&](int64_t n) {
      for (const Axis axis : {kColour, kDirection, kRow, kCol})
        for (const Subset s : subsets())
          if (placed(s) && s.has(axis)) spread_one(x, s, axis, n, true);
    });
  }

 private:
  // Where the cells of an example begin, or those of all.
  T* begin(const Stream& x, Subset s, int64_t n) const {
    const int64_t per_example = s.has(kExample) ? x[s].numel() / canvas_.examples() : 0;
    return x[s].template data<T>() + n * per_example;
  }
  void gather_one(const Stream& x, Subset s, Axis axis, int64_t n, bool one_example) const {
    const Subset less = s.without(axis);
    if (!in_use(less)) return;
    gather<kWide, T>(begin(x, less, n), begin(x, s, n), canvas_.around(s, axis, one_example),
                     weights(s, axis, n));
  }
  void spread_one(const Stream& x, Subset s, Axis axis, int64_t n, bool one_example) const {
    const Subset less = s.without(axis);
    if (!in_use(less)) return;
    spread<kWide, T>(begin(x, s, n), begin(x, less, n), canvas_.around(s, axis, one_example),
                     weights(s, axis, n));
  }

  AxisWeights<T> weights(Subset s, Axis axis, int64_t n) const {
    if (rule_ == Rule::sums || (axis != kRow && axis != kCol)) return {&one_over_size_[axis]};
    const int64_t rows = canvas_.sizes[kRow], cols = canvas_.sizes[kCol];
    const auto of = [n](const Tensor& table) {
      return table.data<T>() + n * (table.numel() / table.size(0));
    };
    if (axis == kCol) {
      if (s.has(kRow)) return {of(canvas_.cols_by_row), rows, cols, 1, 0};
      return {of(canvas_.cols_alone), 1, 0, 1, 0};
    }
    if (s.has(kCol)) return {of(canvas_.rows_by_col), 1, 0, cols, 1};
    return {of(canvas_.rows_alone), 1, 0, 1, 0};
  }

  const Canvas& canvas_;
  Rule rule_;
  std::array<T, kAxes> one_over_size_;
};

// What each tensor hears: x down, added up.
template <int kInside, class T>
Stream heard(const Canvas& canvas, const Stream& x, const Weights& weights, bool up) {
  Stream sums = canvas.scratch(subsets(), kInside);
  for_pieces(canvas, [&](size_t, const Piece& piece) {
    multiply<kInside>(piece.of<T>(sums), piece.of<T>(x),
                      weights.down[piece.subset.owner()].template data<T>(), piece.cells,
                      piece.subset.channels());
  });
  if (up)
    Sharing<kInside, T>(canvas, Rule::sums).upwards(sums);
  else
    Sharing<kInside, T>(canvas, Rule::means).downwards(sums);
  return sums;
}

template <int kInside, class T>
Stream share(const Canvas& canvas, const Stream& x, const Weights& weights, bool up, Norms& norms) {
  Stream sums = heard<kInside, T>(canvas, x, weights, up), y;
  norms = norms_of(canvas, subsets(), sums);
  normalize(canvas, subsets(), sums, sums, norms);
  y = canvas.stream(subsets());
  for_pieces(canvas, [&](size_t, const Piece& piece) {
    visit_channels(piece.subset.channels(), [&]<int kChannels>() {
      multiply_onto<kChannels>(piece.of<T>(y), piece.of<T>(x), piece.of<T>(sums),
                               weights.up[piece.subset.owner()].template data<T>(), piece.cells,
                               kInside);
    });
  });
  return y;
}

template <int kInside, class T>
void share_backward(const Canvas& canvas, const Stream& x, const Weights& weights, bool up,
                    const Norms& norms, const Stream& dy, Stream& dx, Weights& dw) {
  Stream sums = heard<kInside, T>(canvas, x, weights, up);
  normalize(canvas, subsets(), sums, sums, norms);
  Stream gradient = canvas.scratch(subsets(), kInside);
  WeightSums<T> down_sums(canvas, weights.down), up_sums(canvas, weights.up);
  const auto downs = transposed<T>(weights.down), ups = transposed<T>(weights.up);
  for_pieces(canvas, [&](size_t i, const Piece& piece) {
    visit_channels(piece.subset.channels(), [&]<int kChannels>() {
      add_outer<kChannels>(up_sums.of(i), piece.of<T>(sums), piece.of<T>(dy), piece.cells, kInside);
    });
    multiply<kInside>(piece.of<T>(gradient), piece.of<T>(dy), ups[piece.subset.owner()].data(),
                      piece.cells, piece.subset.channels());
  });
  undo_normalize(canvas, subsets(), gradient, sums, norms);
  if (up)
    Sharing<kInside, T>(canvas, Rule::sums).downwards(gradient);
  else
    Sharing<kInside, T>(canvas, Rule::means).upwards(gradient);
  for_pieces(canvas, [&](size_t i, const Piece& piece) {
    add_outer<kInside>(down_sums.of(i), piece.of<T>(x), piece.of<T>(gradient), piece.cells,
                       piece.subset.channels());
    visit_channels(piece.subset.channels(), [&]<int kChannels>() {
      multiply_onto<kChannels>(piece.of<T>(dx), piece.of<T>(dy), piece.of<T>(gradient),
                               downs[piece.subset.owner()].data(), piece.cells, kInside);
    });
  });
  dw = {down_sums.total(), up_sums.total()};
}

// f.operator()<channels inside, T>().
template <class F>
void visit_kind(DType dtype, bool up, const F& f) {
  visit_real(dtype, [&]<class T>() {
    if (up) return f.template operator()<Share::kInsideUp, T>();
    f.template operator()<Share::kInsideDown, T>();
  });
}

}  // namespace

Stream Share::forward(const Stream& x, const Weights& weights, Kept& kept) const {
  const bool up = kind_ == Kind::up;
  Stream y;
  visit_kind(canvas_.dtype, up, [&]<int kInside, class T>() {
    y = share<kInside, T>(canvas_, x, weights, up, kept.norms);
  });
  return y;
}

Layer::Gradients Share::backward(const Stream& x, const Weights& weights, const Kept& kept,
                                 const Stream& dy) const {
  const bool up = kind_ == Kind::up;
  Gradients gradients = {canvas_.stream(changes_), {}};
  visit_kind(canvas_.dtype, up, [&]<int kInside, class T>() {
    share_backward<kInside, T>(canvas_, x, weights, up, kept.norms, dy, gradients.x,
                               gradients.weights);
  });
  return gradients;
}

}  // namespace hrm::compressarc

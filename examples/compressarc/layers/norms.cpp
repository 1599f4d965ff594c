#include "examples/compressarc/layers/norms.h"

#include <cmath>

namespace hrm::compressarc {
namespace {

// f.operator()<channels, T>().
template <class F>
void visit_width(DType dtype, int64_t channels, const F& f) {
  visit_real(dtype, [&]<class T>() {
    if (channels == 4) return f.template operator()<4, T>();
    if (channels == 8) return f.template operator()<8, T>();
    f.template operator()<16, T>();
  });
}

// For each of the tensors the sums that f(sums, piece, vector width, type) adds of every piece.
template <class F>
Multitensor<ByChannel> add_up(const Canvas& canvas, const std::vector<Subset>& which,
                              const Multitensor<Tensor>& x, const F& f) {
  std::vector<ByChannel> of_pieces(canvas.pieces.size());
  for_pieces(canvas, [&](size_t i, const Piece& piece) {
    if (!contains(which, piece.subset)) return;
    visit_width(canvas.dtype, x[piece.subset].size(-1), [&]<int kWide, class T>() {
      f.template operator()<kWide, T>(of_pieces[i], piece);
    });
  });
  Multitensor<ByChannel> sums;
  for (size_t i = 0; i < canvas.pieces.size(); ++i) {
    ByChannel& sum = sums[canvas.pieces[i].subset];
    for (int c = 0; c < 16; ++c) {
      sum.first[c] += of_pieces[i].first[c];
      sum.second[c] += of_pieces[i].second[c];
    }
  }
  return sums;
}

// The values of a cell's channels, as load() has them: by reference.
template <int kWide, class T>
struct OfChannels {
  Vector<T, kWide> values;
  explicit OfChannels(const std::array<double, 16>& from, double factor = 1) {
    for (int c = 0; c < kWide; ++c) values[c] = static_cast<T>(from[c] * factor);
  }
};

double cells_of(const Tensor& x) { return static_cast<double>(x.numel() / x.size(-1)); }

}  // namespace

Norms norms_of(const Canvas& canvas, const std::vector<Subset>& which,
               const Multitensor<Tensor>& x) {
  Norms norms = add_up(canvas, which, x, [&]<int kWide, class T>(ByChannel& sum, const Piece& p) {
    const T* from = p.of<T>(x);
    add_column_sums<kWide, T>(sum.first.data(), p.cells,
                              [&](auto& v, int64_t n) { load(v, from + n * kWide); });
  });
  for (const Subset s : which)
    for (double& mean : norms[s].first) mean /= cells_of(x[s]);
  const auto squares =
      add_up(canvas, which, x, [&]<int kWide, class T>(ByChannel& sum, const Piece& p) {
        const T* from = p.of<T>(x);
        const OfChannels<kWide, T> mean(norms[p.subset].first);
        add_column_sums<kWide, T>(sum.second.data(), p.cells, [&](auto& v, int64_t n) {
          load(v, from + n * kWide);
          v -= mean.values;
          v *= v;
        });
      });
  for (const Subset s : which)
    for (int c = 0; c < 16; ++c)
      norms[s].second[c] = 1 / std::sqrt(squares[s].second[c] / cells_of(x[s]) + kNormEps);
  return norms;
}

void normalize(const Canvas& canvas, const std::vector<Subset>& which, Multitensor<Tensor>& y,
               const Multitensor<Tensor>& x, const Norms& norms) {
  for_pieces(canvas, [&](size_t, const Piece& piece) {
    if (!contains(which, piece.subset)) return;
    visit_width(canvas.dtype, x[piece.subset].size(-1), [&]<int kWide, class T>() {
      const T* from = piece.of<T>(x);
      T* to = piece.of<T>(y);
      const OfChannels<kWide, T> mean(norms[piece.subset].first);
      const OfChannels<kWide, T> scale(norms[piece.subset].second);
      for (int64_t n = 0; n < piece.cells; ++n) {
        Vector<T, kWide> v;
        load(v, from + n * kWide);
        v = (v - mean.values) * scale.values;
        store(to + n * kWide, v);
      }
    });
  });
}

void undo_normalize(const Canvas& canvas, const std::vector<Subset>& which,
                    Multitensor<Tensor>& gradient, const Multitensor<Tensor>& y,
                    const Norms& norms) {
  // The means of the gradient and of its product with y are what a norm takes away.
  auto sums = add_up(canvas, which, y, [&]<int kWide, class T>(ByChannel& sum, const Piece& p) {
    const T *dy = p.of<T>(gradient), *z = p.of<T>(y);
    add_column_sums<kWide, T>(sum.first.data(), p.cells,
                              [&](auto& v, int64_t n) { load(v, dy + n * kWide); });
    add_column_sums<kWide, T>(sum.second.data(), p.cells, [&](auto& v, int64_t n) {
      Vector<T, kWide> value;
      load(v, dy + n * kWide);
      load(value, z + n * kWide);
      v *= value;
    });
  });
  for_pieces(canvas, [&](size_t, const Piece& piece) {
    if (!contains(which, piece.subset)) return;
    visit_width(canvas.dtype, y[piece.subset].size(-1), [&]<int kWide, class T>() {
      const T* z = piece.of<T>(y);
      T* dy = piece.of<T>(gradient);
      const double share = 1 / cells_of(y[piece.subset]);
      const OfChannels<kWide, T> mean(sums[piece.subset].first, share);
      const OfChannels<kWide, T> slope(sums[piece.subset].second, share);
      const OfChannels<kWide, T> scale(norms[piece.subset].second);
      for (int64_t n = 0; n < piece.cells; ++n) {
        Vector<T, kWide> v, value;
        load(v, dy + n * kWide);
        load(value, z + n * kWide);
        v = (v - mean.values - value * slope.values) * scale.values;
        store(dy + n * kWide, v);
      }
    });
  });
}

}  // namespace hrm::compressarc

// Layers that do the same to every cell.
#include "examples/compressarc/layers/layer.h"
#include "examples/compressarc/layers/weight_sums.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::compressarc {
namespace {

template <class T>
void nonlinear_forward(const Canvas& canvas, const Stream& x, const Weights& w, Stream& y) {
  constexpr int kInside = Nonlinear::kInside;
  for_pieces(canvas, [&](size_t, const Piece& piece) {
    const T *down = w.down[piece.subset.owner()].data<T>(),
            *up = w.up[piece.subset.owner()].data<T>();
    visit_channels(piece.subset.channels(), [&]<int kChannels>() {
      for_blocks(piece.cells, [&](int64_t first, int64_t cells) {
        const T* from = piece.of<T>(x) + first * kChannels;
        T h[kBlock * kInside];
        multiply<kInside>(h, from, down, cells, kChannels);
        for (int64_t i = 0; i < cells * kInside; ++i) h[i] *= cpu::sigmoid(h[i]);
        multiply_onto<kChannels>(piece.of<T>(y) + first * kChannels, from, h, up, cells, kInside);
      });
    });
  });
}

template <class T>
void nonlinear_backward(const Canvas& canvas, const Stream& x, const Weights& w, const Stream& dy,
                        Stream& dx, Weights& dw) {
  constexpr int kInside = Nonlinear::kInside;
  WeightSums<T> down_sums(canvas, w.down), up_sums(canvas, w.up);
  const auto downs = transposed<T>(w.down), ups = transposed<T>(w.up);
  for_pieces(canvas, [&](size_t i, const Piece& piece) {
    const Subset owner = piece.subset.owner();
    const T *down = w.down[owner].data<T>(), *from_up = ups[owner].data();
    visit_channels(piece.subset.channels(), [&]<int kChannels>() {
      for_blocks(piece.cells, [&](int64_t first, int64_t cells) {
        const T* from = piece.of<T>(x) + first * kChannels;
        const T* gradient = piece.of<T>(dy) + first * kChannels;
        T h[kBlock * kInside], dh[kBlock * kInside];
        multiply<kInside>(h, from, down, cells, kChannels);
        multiply<kInside>(dh, gradient, from_up, cells, kChannels);
        for (int64_t j = 0; j < cells * kInside; ++j) {
          const T gate = cpu::sigmoid(h[j]), value = h[j] * gate;
          dh[j] *= gate + value * (1 - gate);
          h[j] = value;
        }
        add_outer<kChannels>(up_sums.of(i), h, gradient, cells, kInside);
        add_outer<kInside>(down_sums.of(i), from, dh, cells, kChannels);
        multiply_onto<kChannels>(piece.of<T>(dx) + first * kChannels, gradient, dh,
                                 downs[owner].data(), cells, kInside);
      });
    });
  });
  dw = {down_sums.total(), up_sums.total()};
}

}  // namespace

Stream Nonlinear::forward(const Stream& x, const Weights& weights, Kept&) const {
  Stream y = canvas_.stream(changes_);
  visit_real(canvas_.dtype, [&]<class T>() { nonlinear_forward<T>(canvas_, x, weights, y); });
  return y;
}

Layer::Gradients Nonlinear::backward(const Stream& x, const Weights& weights, const Kept&,
                                     const Stream& dy) const {
  Gradients gradients = {canvas_.stream(changes_), {}};
  visit_real(canvas_.dtype, [&]<class T>() {
    nonlinear_backward<T>(canvas_, x, weights, dy, gradients.x, gradients.weights);
  });
  return gradients;
}

Stream Normalize::forward(const Stream& x, const Weights&, Kept& kept) const {
  kept.norms = norms_of(canvas_, changes_, x);
  Stream y = canvas_.stream(changes_);
  for (const Subset s : changes_)
    kept.normalized[s] = y[s].detach();  // else the graph would hold itself
  compressarc::normalize(canvas_, changes_, y, x, kept.norms);
  return y;
}

Layer::Gradients Normalize::backward(const Stream&, const Weights&, const Kept& kept,
                                     const Stream& dy) const {
  Gradients gradients;
  for (const Subset s : changes_) gradients.x[s] = dy[s].clone();
  undo_normalize(canvas_, changes_, gradients.x, kept.normalized, kept.norms);
  return gradients;
}

}  // namespace hrm::compressarc

// The gradients of weights, which each piece of the canvas adds up for itself.
//
//     WeightSums<float> sums(canvas, weights.down);
//     for_pieces(canvas, [&](size_t i, const Piece& piece) {
//       add_outer<16>(sums.of(i), x, dy, piece.cells, 8);
//     });
//     sums.total();   // by owner, in the same order whoever added what
#pragma once

#include "examples/compressarc/layers/canvas.h"

namespace hrm::compressarc {

template <class T>
class WeightSums {
 public:
  // weights: by owner; those of subsets that are not worked on are undefined.
  WeightSums(const Canvas& canvas, const Multitensor<Tensor>& weights)
      : canvas_(canvas), weights_(weights) {
    for (const Piece& piece : canvas.pieces) {
      first_.push_back(elements_);
      const Tensor& weight = weights[piece.subset.owner()];
      if (weight.defined()) elements_ += static_cast<size_t>(weight.numel());
    }
    sums_.resize(elements_);
  }

  T* of(size_t piece) { return sums_.data() + first_[piece]; }

  Multitensor<Tensor> total() const {
    Multitensor<Tensor> all;
    for (size_t i = 0; i < first_.size(); ++i) {
      const Subset owner = canvas_.pieces[i].subset.owner();
      if (!weights_[owner].defined()) continue;
      if (!all[owner].defined()) all[owner] = zeros(weights_[owner].shape(), canvas_.dtype);
      T* to = all[owner].template data<T>();
      const T* from = sums_.data() + first_[i];
      for (int64_t j = 0; j < all[owner].numel(); ++j) to[j] += from[j];
    }
    return all;
  }

 private:
  const Canvas& canvas_;
  const Multitensor<Tensor>& weights_;
  std::vector<size_t> first_;
  size_t elements_ = 0;
  std::vector<T> sums_;
};

// The transposes of weights [in, out], by owner.
template <class T>
Multitensor<std::vector<T>> transposed(const Multitensor<Tensor>& weights) {
  Multitensor<std::vector<T>> all;
  for (const Subset s : subsets()) {
    const Tensor& weight = weights[s];
    if (!weight.defined()) continue;
    all[s].resize(static_cast<size_t>(weight.numel()));
    transpose(all[s].data(), weight.data<T>(), weight.size(0), weight.size(1));
  }
  return all;
}

}  // namespace hrm::compressarc

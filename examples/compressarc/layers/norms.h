// Every channel of a tensor over all its cells, cells outside of grids included: minus its mean,
// divided by its standard deviation.
//
//     const Norms norms = norms_of(canvas, which, x);
//     normalize(canvas, which, y, x, norms);
//     undo_normalize(canvas, which, dy, y, norms);   // dy is now the gradient of x
#pragma once

#include "examples/compressarc/layers/canvas.h"

namespace hrm::compressarc {

inline constexpr double kNormEps = 1e-8;  // added to the variance

// Two numbers for each channel of each tensor.
struct ByChannel {
  std::array<double, 16> first = {}, second = {};
};
// The means, and 1 / the standard deviations.
using Norms = Multitensor<ByChannel>;

Norms norms_of(const Canvas& canvas, const std::vector<Subset>& which,
               const Multitensor<Tensor>& x);
// y may be x.
void normalize(const Canvas& canvas, const std::vector<Subset>& which, Multitensor<Tensor>& y,
               const Multitensor<Tensor>& x, const Norms& norms);
// From the gradient of y, which normalize() made of x, to that of x, in its place.
void undo_normalize(const Canvas& canvas, const std::vector<Subset>& which,
                    Multitensor<Tensor>& gradient, const Multitensor<Tensor>& y,
                    const Norms& norms);

inline bool contains(const std::vector<Subset>& which, Subset s) {
  return std::find(which.begin(), which.end(), s) != which.end();
}

}  // namespace hrm::compressarc

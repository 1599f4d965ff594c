// Dropout whose masks are functions of a seed, a step and the number of a call.
//
//     DropoutStream drop{.p = 0.1, .seed = 7, .step = step};   // step: i32 [1], where the model is
//     const Tensor y = dropout(x, drop.next());          // the first call of this step
#pragma once

#include "autograd/node.h"
#include "kernels/dropout.h"

namespace hrm {

// Which elements a dropout drops (Srivastava et al. 2014). A GPU reads the step where it stands, so
// that a recorded step draws new masks each time it is replayed.
struct DropoutStream {
  double p = 0;  // of being dropped, in [0, 1), rounded down to 1 / 65536; 0: nothing is
  uint64_t seed = 0;
  Tensor step = {};   // i32 [1]; undefined: 0
  uint32_t call = 0;  // of this step

  // This one; the one after it is the next call.
  DropoutStream next() {
    DropoutStream now = *this;
    ++call;
    return now;
  }
  // What kernels take; `step` must live as long as they read it.
  DropoutRule rule() const;
};

// x / (1 - p) where it is kept and 0 x elsewhere, plus a residual of the same shape and dtype where
// one is given.
Tensor dropout(const Tensor& x, const DropoutStream& drop, const Tensor& residual = {});

}  // namespace hrm

// Draws from distributions.
//
//     const Tensor digit = multinomial(softmax(logits), random.uniform({64}, 0, 1, DType::f64));
#pragma once

#include "autograd/node.h"

namespace hrm {

// One index for each row of `weights` [..., n], in proportion to them; they need not add up to 1,
// and those that are not above 0 are never drawn. `uniform`, f64 [...], has a number in [0, 1) for
// each row: the same number draws the same index on every device. The result is i32 [...]; -1 for a
// row without a weight above 0, or whose sum is not finite. No gradient flows through it.
Tensor multinomial(const Tensor& weights, const Tensor& uniform);

}  // namespace hrm

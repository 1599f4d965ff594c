// The gate of SwiGLU.
//
//     const Tensor y = swiglu(gate_up);   // [rows, 2 * inter] -> [rows, inter]
#pragma once

#include "autograd/node.h"

namespace hrm {

// silu(gate) * up of gate_up [..., 2 * inter] = [gate | up] -> [..., inter].
Tensor swiglu(const Tensor& gate_up);
Tensor swiglu_reference(const Tensor& gate_up);
// Its gradient, of the shape of gate_up, from that of the result. Without a gradient of its own.
Tensor swiglu_gradient(const Tensor& gate_up, const Tensor& dy);

}  // namespace hrm

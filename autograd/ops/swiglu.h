// The gate of SwiGLU.
#pragma once

#include "autograd/node.h"

namespace hrm {

// silu(gate) * up of gate_up [..., 2 * inter] = [gate | up] -> [..., inter].
Tensor swiglu(const Tensor& gate_up);
Tensor swiglu_reference(const Tensor& gate_up);

}  // namespace hrm

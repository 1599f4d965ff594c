// The gate of SwiGLU (Shazeer 2020): silu(gate) * up.
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// y[r, i] = silu(gate_up[r, i]) * gate_up[r, inter + i]; gate_up: [rows, 2 * inter], y: [rows,
// inter].
HRM_KERNEL(swiglu,
           (DType t, void* y, const void* gate_up, int64_t rows, int64_t inter, const Context&))
// dgate_up [rows, 2 * inter] from gate_up and dy [rows, inter].
HRM_KERNEL(swiglu_backward, (DType t, void* dgate_up, const void* gate_up, const void* dy,
                             int64_t rows, int64_t inter, const Context&))

}  // namespace hrm

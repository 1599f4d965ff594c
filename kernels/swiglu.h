// The gate of SwiGLU (Shazeer 2020): silu(gate) * up.
//
//     cpu::swiglu(DType::f32, y, gate_up, rows, inter, context);   // y = silu(gate) * up
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// Where on a GPU the i-th gate and the i-th up value stand among the 2 * inter columns of gate_up:
// as in the official weights. A product that applies the gate in its epilogue would want them
// interleaved; that changes here, and in the bf16 copy of the weight that the optimizer writes,
// never in masters or checkpoints.
HRM_HOST_DEVICE constexpr int64_t gate_column(int64_t i, int64_t) { return i; }
HRM_HOST_DEVICE constexpr int64_t up_column(int64_t i, int64_t inter) { return inter + i; }

// y[r, i] = silu(gate_up[r, i]) * gate_up[r, inter + i]; gate_up: [rows, 2 * inter], y: [rows,
// inter].
HRM_KERNEL(swiglu,
           (DType t, void* y, const void* gate_up, int64_t rows, int64_t inter, const Context&))
// dgate_up [rows, 2 * inter] from gate_up and dy [rows, inter].
HRM_KERNEL(swiglu_backward, (DType t, void* dgate_up, const void* gate_up, const void* dy,
                             int64_t rows, int64_t inter, const Context&))

}  // namespace hrm

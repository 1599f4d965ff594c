// Rotary position embedding, rotate-half form (Su et al. 2021, as in GPT-NeoX and HRM).
//
//     cpu::rope(DType::f32, y, x, cos, sin, batch, seq, heads, head_dim, false, context);
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// y[b, s, h, :] = x * cos[s] + rotate_half(x) * sin[s], rotate_half(x) = [-x2, x1] of the two
// halves. x, y: [batch, seq, heads, head_dim] contiguous, dtype t (y may be x); cos, sin: [seq,
// head_dim] in accumulate_type(t), as official tables (both halves given). head_dim is even. With
// `inverse` the transposed rotation is applied: the backward pass, and the exact inverse.
HRM_KERNEL(rope, (DType t, void* y, const void* x, const void* cos, const void* sin, int64_t batch,
                  int64_t seq, int64_t heads, int64_t head_dim, bool inverse, const Context&))

}  // namespace hrm

// Root-mean-square normalisation without weight (Zhang & Sennrich 2019), post-norm as HRM uses it.
//
//     cpu::rms_norm(DType::f32, y, rstd, x, nullptr, rows, cols, 1e-5, context);   // y = x * rstd
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// h = x + residual (residual may be null), y = h * rstd, rstd = 1 / sqrt(mean(h^2) + eps).
// x, residual, y: [rows, cols] of t; rstd: [rows] in accumulate_type(t). Statistics in that type.
HRM_KERNEL(rms_norm, (DType t, void* y, void* rstd, const void* x, const void* residual,
                      int64_t rows, int64_t cols, double eps, const Context&))
// dh = rstd (dy - y mean(dy y)): the gradient of x and of the residual alike.
HRM_KERNEL(rms_norm_backward, (DType t, void* dh, const void* y, const void* rstd, const void* dy,
                               int64_t rows, int64_t cols, const Context&))

}  // namespace hrm

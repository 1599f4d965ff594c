// Layer normalisation with weight and bias (Ba, Kiros & Hinton 2016).
//
//     cpu::layer_norm(DType::f32, y, mean, rstd, x, weight, bias, rows, cols, 1e-5, context);
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// n = (x - mean) rstd, rstd = 1 / sqrt(mean((x - mean)^2) + eps), y = n weight + bias, row by row.
// x and y: [rows, cols] of t. The rest is in accumulate_type(t): weight and bias [cols], mean and
// rstd [rows].
HRM_KERNEL(layer_norm, (DType t, void* y, void* mean, void* rstd, const void* x, const void* weight,
                        const void* bias, int64_t rows, int64_t cols, double eps, const Context&))
// With g = dy weight: dx = rstd (g - mean(g) - n mean(g n)) of t, dweight = sum over the rows of
// dy n, dbias = that of dy, in the type of the weight. The sums run over fixed blocks of rows, so
// they are the same for any number of threads.
HRM_KERNEL(layer_norm_backward, (DType t, void* dx, void* dweight, void* dbias, const void* dy,
                                 const void* x, const void* mean, const void* rstd,
                                 const void* weight, int64_t rows, int64_t cols, const Context&))

}  // namespace hrm

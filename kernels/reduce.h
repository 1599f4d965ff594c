// Reductions. x is seen as [outer, reduced, inner], contiguous; the middle axis is reduced.
// The order of additions is fixed (never depends on the number of threads); f32 and bf16 sums are
// accumulated in f64.
//
//     cpu::sum(DType::f32, y, x, 2, 3, 4, context);   // [2, 3, 4] -> [2, 4]
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// y[outer, inner] = sum over the middle axis. Also i32.
HRM_KERNEL(sum, (DType t, void* y, const void* x, int64_t outer, int64_t reduced, int64_t inner,
                 const Context&))
// y[outer, inner] = maximum, index[outer, inner] = its first position (i32; null if not wanted).
// `reduced` >= 1. NaN is never chosen unless it is at position 0. Also i32.
HRM_KERNEL(max, (DType t, void* y, int32_t* index, const void* x, int64_t outer, int64_t reduced,
                 int64_t inner, const Context&))
// dx[outer, reduced, inner] = dy[outer, inner] at index, 0 elsewhere.
HRM_KERNEL(max_backward, (DType t, void* dx, const void* dy, const int32_t* index, int64_t outer,
                          int64_t reduced, int64_t inner, const Context&))
// Softmax over rows of `cols` elements: y = exp(x - max) / sum, or its logarithm when `log`.
HRM_KERNEL(softmax,
           (DType t, void* y, const void* x, int64_t rows, int64_t cols, bool log, const Context&))
// From y = (log_)softmax(x): softmax dx = y (dy - sum(dy y)); log dx = dy - exp(y) sum(dy).
HRM_KERNEL(softmax_backward, (DType t, void* dx, const void* y, const void* dy, int64_t rows,
                              int64_t cols, bool log, const Context&))
// *flag (i32) = 1 if any of the n elements is NaN or infinite; left as it is otherwise.
HRM_KERNEL(flag_nonfinite, (DType t, int32_t* flag, const void* x, int64_t n, const Context&))
// *total (f64) += sum of squares of the n elements.
HRM_KERNEL(add_sum_of_squares, (DType t, double* total, const void* x, int64_t n, const Context&))

}  // namespace hrm

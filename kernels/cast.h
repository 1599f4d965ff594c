// Conversion of n elements from one type to another.
//
//     cpu::cast(DType::bf16, y, DType::f32, x, n, context);   // y in bf16, x in f32
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// y[i] = x[i] converted from `from` to `to` (any pair of dtypes); floats to integers truncate
// toward zero, values that do not fit are undefined (check before).
HRM_KERNEL(cast, (DType to, void* y, DType from, const void* x, int64_t n, const Context&))

}  // namespace hrm

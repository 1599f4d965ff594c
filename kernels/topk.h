// The largest elements of each row.
//
//     cpu::topk(DType::f32, values, index, x, rows, cols, 3, context);   // the three largest
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// Whether element i of a row, of value a, comes before element j, of value b, in descending order:
// NaN first, and equal values as they lie.
template <class A>
HRM_HOST_DEVICE bool ranks_before(A a, int64_t i, A b, int64_t j) {
  const bool a_nan = a != a, b_nan = b != b;
  if (a_nan != b_nan) return a_nan;
  if (a > b) return true;
  return (a == b || a_nan) && i < j;
}

// values[r, j] = the j-th largest of x[r, :] in that order, index[r, j] = its column. x: [rows,
// cols]; values and index: [rows, k]; 0 <= k <= cols, and cols fits an int32.
HRM_KERNEL(topk, (DType t, void* values, int32_t* index, const void* x, int64_t rows, int64_t cols,
                  int64_t k, const Context&))

}  // namespace hrm

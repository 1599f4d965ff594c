// Rows of a table: gather, scatter-add, and gather/scatter along the last axis. No float atomics:
// every sum runs in the order of the ids. Ids are checked by the caller (tensor/ops), never here.
//
//     cpu::gather_rows(DType::f32, y, table, ids, n, dim, 1.0, context);   // y[i] = table[ids[i]]
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// y[i, :] = scale * table[ids[i], :]; table: [vocab, dim], ids: [n], y: [n, dim].
HRM_KERNEL(gather_rows, (DType t, void* y, const void* table, const int32_t* ids, int64_t n,
                         int64_t dim, double scale, const Context&))
// table[ids[i], :] += scale * dy[i, :]; table: [vocab, dim] of t, dy: [n, dim] of t_in (t == t_in,
// or f32 from bf16).
HRM_KERNEL(scatter_add_rows, (DType t, void* table, DType t_in, const void* dy, const int32_t* ids,
                              int64_t n, int64_t dim, int64_t vocab, double scale, const Context&))
// y[r, j] = x[r, index[r, j]]; x: [rows, cols], index and y: [rows, picks].
HRM_KERNEL(gather_last, (DType t, void* y, const void* x, const int32_t* index, int64_t rows,
                         int64_t cols, int64_t picks, const Context&))
// x[r, index[r, j]] += dy[r, j]; repeated indices add up.
HRM_KERNEL(scatter_add_last, (DType t, void* x, const void* dy, const int32_t* index, int64_t rows,
                              int64_t cols, int64_t picks, const Context&))

}  // namespace hrm

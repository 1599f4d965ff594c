// Rotary position embedding.
//
//     const RopeTables tables = rope_tables(81, 64, 10000, DType::f32);
//     const Tensor y = rope(x, tables);   // x: [batch, 81, heads, 64]
#pragma once

#include "autograd/node.h"

namespace hrm {

// The official tables: cos and sin [seq, head_dim] of position / theta^(2i / head_dim), each half
// repeated. Angles are computed in `dtype` (f32 as the official code, or f64).
struct RopeTables {
  Tensor cos, sin;
};
RopeTables rope_tables(int64_t seq, int64_t head_dim, double theta, DType dtype,
                       Device device = Device::cpu);

// Axial rotary embedding, in two dimensions: tables for the cells of a board, row by row, with
// `prefix` positions before them: the first half of the pairs turns by the cell's row, the second
// by its column, each by the frequencies that a head of half the size has. Positions of the prefix
// do not turn. head_dim is a multiple of 4.
RopeTables grid_rope_tables(int64_t prefix, int64_t rows, int64_t cols, int64_t head_dim,
                            double theta, DType dtype, Device device = Device::cpu);

// x [batch, seq, heads, head_dim] rotated; the tables are in accumulate_type(x.dtype()).
Tensor rope(const Tensor& x, const RopeTables& tables);
Tensor rope_reference(const Tensor& x, const RopeTables& tables);

}  // namespace hrm

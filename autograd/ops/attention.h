// Self-attention on a fused qkv projection.
//
//     const RopeTables tables = rope_tables(81, 64, 10000, DType::f32);
//     const Tensor y = attention(qkv, 8, &tables);   // [batch, 81, 3 * 512] -> [batch, 81, 512]
#pragma once

#include "autograd/ops/dropout.h"
#include "autograd/ops/rope.h"

namespace hrm {

// qkv [batch, seq, 3 * heads * head_dim], ordered [q heads | k heads | v heads] ->
// [batch, seq, heads * head_dim]; softmax(q k' / sqrt(head_dim)) v, non-causal, rotary embedding on
// q and k if `tables` is given. Of the probabilities, behind the softmax, some are dropped if that
// is asked for.
Tensor attention(const Tensor& qkv, int64_t heads, const RopeTables* tables,
                 const DropoutStream& drop = {});
// Position 0 of it, [batch, 1, heads * head_dim]; of qkv the queries of all others are not read.
// Without gradient.
Tensor attention_first(const Tensor& qkv, int64_t heads, const RopeTables* tables);
// What each position takes from which: the softmax above, [batch, heads, seq, seq] in
// accumulate_type(qkv.dtype()), each row of which adds up to 1.
Tensor attention_weights(const Tensor& qkv, int64_t heads, const RopeTables* tables);
Tensor attention_reference(const Tensor& qkv, int64_t heads, const RopeTables* tables,
                           const DropoutStream& drop = {});

}  // namespace hrm

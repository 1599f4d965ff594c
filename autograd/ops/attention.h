// Self-attention on a fused qkv projection.
#pragma once

#include "autograd/ops/rope.h"

namespace hrm {

// qkv [batch, seq, 3 * heads * head_dim], ordered [q heads | k heads | v heads] ->
// [batch, seq, heads * head_dim]; softmax(q k' / sqrt(head_dim)) v, non-causal, rotary embedding on
// q and k if `tables` is given.
Tensor attention(const Tensor& qkv, int64_t heads, const RopeTables* tables);
Tensor attention_reference(const Tensor& qkv, int64_t heads, const RopeTables* tables);

}  // namespace hrm

// Non-causal self-attention on a fused qkv projection, RoPE included; scores never leave the
// kernel. out = softmax(q k' / sqrt(head_dim)) v per head.
//
//     const AttentionShape shape = {batch, seq, heads, head_dim};
//     cpu::attention(DType::f32, out, stats, qkv, cos, sin, shape, context);
#pragma once

#include "kernels/dropout.h"

namespace hrm {

struct AttentionShape {
  int64_t batch = 0, seq = 0, heads = 0, head_dim = 0;
  // Of the probabilities (p 0: none). Each row of them begins with a Philox block of its own:
  // probability j of query i of head h (counted over the batch) is element
  // (h seq + i) draws_of_a_row() kDropoutDraws + j.
  DropoutRule dropout = {};
  // Only so many queries, from position 0 on, are computed in the forward pass; 0: all. Of q, out
  // and stats the rest is neither read nor written.
  int64_t queries = 0;

  HRM_HOST_DEVICE int64_t asked() const { return queries > 0 ? queries : seq; }
  // In Philox blocks.
  HRM_HOST_DEVICE int64_t draws_of_a_row() const {
    return (seq + kDropoutDraws - 1) / kDropoutDraws;
  }
};

// out: [batch, seq, heads * head_dim] of t. stats: [batch, heads, seq, 2] in accumulate_type(t), of
// every row of scores q k' its maximum and sum(exp((score - maximum) / sqrt(head_dim))); kept
// apart, because their combined logarithm would lose digits of large scores. qkv: [batch, seq, 3 *
// heads * head_dim], rows ordered [all q heads | all k heads | all v heads]. cos, sin: [seq,
// head_dim] in accumulate_type(t), or both null for no rotary embedding. In bf16 rotated q and k
// and the probabilities are rounded to bf16; scores and sums are f32.
HRM_KERNEL(attention, (DType t, void* out, void* stats, const void* qkv, const void* cos,
                       const void* sin, const AttentionShape& shape, const Context&))
// dqkv (shape of qkv) from dout, recomputing the probabilities from qkv and stats.
HRM_KERNEL(attention_backward,
           (DType t, void* dqkv, const void* dout, const void* stats, const void* qkv,
            const void* cos, const void* sin, const AttentionShape& shape, const Context&))

}  // namespace hrm

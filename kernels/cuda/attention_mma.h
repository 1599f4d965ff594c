// Attention in bf16 on tensor cores; attention.cu calls it where it fits.
#pragma once

#include "kernels/attention.h"

namespace hrm::cuda {

// True for bf16 heads whose size is a multiple of 16 up to 128 and sequences of up to 1024.
bool attention_mma_fits(DType t, const AttentionShape& shape);
// What attention.h says of attention and attention_backward, for shapes that fit.
void attention_mma(void* out, void* stats, const void* qkv, const void* cos, const void* sin,
                   const AttentionShape& shape, const Context& context);
void attention_mma_backward(void* dqkv, const void* dout, const void* stats, const void* qkv,
                            const void* cos, const void* sin, const AttentionShape& shape,
                            const Context& context);

}  // namespace hrm::cuda

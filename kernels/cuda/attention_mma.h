#pragma once
#include "kernels/attention.h"
namespace hrm::cuda {
inline bool attention_mma_fits(DType, const AttentionShape&) { return false; }
inline void attention_mma(void*, void*, const void*, const void*, const void*,
                          const AttentionShape&, const Context&) {}
inline void attention_mma_backward(void*, const void*, const void*, const void*, const void*,
                                   const void*, const AttentionShape&, const Context&) {}
}  // namespace hrm::cuda

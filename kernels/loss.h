// Token losses and binary cross entropy.
//
//     cpu::bce_with_logits(DType::f32, loss, x, target, nullptr, n, context);   // one an element
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// softmax: the usual cross entropy, in f32 (f64 for f64 logits).
// stablemax (Prieto et al. 2025, as in HRM): p = s(x) / sum s(x), s(x) = x + 1 for x >= 0, else
// 1 / (1 - x + 1e-30); always in f64.
enum class LossType { softmax_cross_entropy, stablemax_cross_entropy };

// Type of the loss values: f64 for stablemax or f64 logits, else f32.
constexpr DType loss_dtype(LossType loss, DType logits) {
  return loss == LossType::stablemax_cross_entropy || logits == DType::f64 ? DType::f64
                                                                           : DType::f32;
}

inline constexpr int32_t kIgnoreLabel = -100;

// loss[r] = -log p(labels[r]); 0 where labels[r] == kIgnoreLabel. logits: [rows, vocab] of t;
// loss: [rows] of loss_dtype.
HRM_KERNEL(cross_entropy, (LossType kind, DType t, void* loss, const void* logits,
                           const int32_t* labels, int64_t rows, int64_t vocab, const Context&))
// dlogits[r, :] = dloss[r] * d loss[r] / d logits[r, :], rounded once to t; 0 where ignored.
HRM_KERNEL(cross_entropy_backward,
           (LossType kind, DType t, void* dlogits, const void* dloss, const void* logits,
            const int32_t* labels, int64_t rows, int64_t vocab, const Context&))
// loss[i] = w (max(x, 0) - x target + log(1 + exp(-|x|))), w = weight[i], or 1 if weight is null; t
// is f32 or f64.
HRM_KERNEL(bce_with_logits, (DType t, void* loss, const void* logits, const void* target,
                             const void* weight, int64_t n, const Context&))
// dlogits[i] = dloss[i] w (sigmoid(x) - target), with the sigmoid of elementwise.h: a target that
// was made by that sigmoid from the same logit gives exactly 0.
HRM_KERNEL(bce_with_logits_backward,
           (DType t, void* dlogits, const void* dloss, const void* logits, const void* target,
            const void* weight, int64_t n, const Context&))

}  // namespace hrm

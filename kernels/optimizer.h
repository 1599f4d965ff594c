// Parameter updates: of the master weights (f32 or f64), their moments and, where there is one, the
// bf16 copy. Weights, copies, moments and averages stay when *skip != 0 (the NaN guard; skip may be
// null), so that the host never has to read a flag inside a step.
//
//     cpu::ema_update(DType::f32, shadow, p, n, 0.999, skip, context);   // an average of p
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// Adam-atan2 (Everett et al. 2024; imoneoi/adam-atan2):
//   p *= 1 - lr wd;  m = lerp(m, g, 1 - beta1);  v = beta2 v + (1 - beta2) g^2
//   p -= lr / (1 - beta1^t) atan2(m, sqrt(v) / sqrt(1 - beta2^t))
// AdamW (Loshchilov & Hutter 2019): same moments, p -= lr mhat / (sqrt(vhat) + eps).
enum class AdamKind { adam_atan2, adamw };

struct AdamRule {
  AdamKind kind = AdamKind::adam_atan2;
  double beta1 = 0.9, beta2 = 0.95;
  double eps = 0;  // adamw only
};
// One parameter: master weight, moments and gradient, n elements of one type (f32 or f64); copy: n
// bf16, or null. rates: f64 [kAdamRates] on the device, what changes from step to step: 1 - lr wd;
// lr / (1 - beta1^t); 1 / sqrt(1 - beta2^t).
inline constexpr int kAdamRates = 3;
struct AdamTensor {
  void* p = nullptr;
  void* m = nullptr;
  void* v = nullptr;
  bfloat16* copy = nullptr;
  const void* g = nullptr;
  int64_t n = 0;
  const double* rates = nullptr;
};
// tensors: `count` of them, in host memory. Gradients are multiplied by *gradient_scale first
// (clipping; null is 1).
HRM_KERNEL(adam, (DType t, const AdamTensor* tensors, int64_t count, const AdamRule& rule,
                  const double* gradient_scale, const int32_t* skip, const Context&))
// What Muon does to a matrix of n elements before and after it is orthogonalized (nn/optim/muon.h):
//   m = lerp(m, g, 1 - momentum);  ahead = lerp(g, m, momentum)
//   p = p rates[0] - rates[1] direction;  copy (bf16, or null) = p
// g is multiplied by *gradient_scale first (null is 1). rates: f64 [kMuonRates] on the device:
// 1 - lr wd; the length of the step. `ahead` is written whatever *skip says.
inline constexpr int kMuonRates = 2;
HRM_KERNEL(muon_momentum, (DType t, void* m, void* ahead, const void* g, int64_t n, double momentum,
                           const double* gradient_scale, const int32_t* skip, const Context&))
HRM_KERNEL(muon_update, (DType t, void* p, bfloat16* copy, const void* direction, int64_t n,
                         const double* rates, const int32_t* skip, const Context&))
// Stochastic gradient descent with momentum (Sutskever et al. 2013), as PyTorch's SGD:
//   d = g + weight_decay p;  m = momentum m + d;  p -= lr (nesterov ? d + momentum m : m)
// g is multiplied by *gradient_scale first (null is 1). m: n elements of t, zeros at the start, or
// null where momentum is 0. rates: f64 [1] on the device, lr. copy (bf16, or null) = p.
struct SgdRule {
  double momentum = 0, weight_decay = 0;
  bool nesterov = false;
};
HRM_KERNEL(sgd, (DType t, void* p, void* m, bfloat16* copy, const void* g, int64_t n,
                 const SgdRule& rule, const double* rates, const double* gradient_scale,
                 const int32_t* skip, const Context&))
// Sparse SignSGD on the rows of a table: for every distinct id in ids[batch], with
// g = sum of grad[i, :] over equal ids: row = row (1 - lr wd) - lr sign(g), sign(0) = 0.
// Rows whose id does not occur are untouched. table: [rows, dim], grad: [batch, dim], both of t;
// rates: f64 [2] on the device, 1 - lr wd and lr.
HRM_KERNEL(sign_sgd_rows,
           (DType t, void* table, const void* grad, const int32_t* ids, int64_t batch, int64_t dim,
            const double* rates, const int32_t* skip, const Context&))
// shadow = (1 - rate) * p + rate * shadow.
HRM_KERNEL(ema_update, (DType t, void* shadow, const void* p, int64_t n, double rate,
                        const int32_t* skip, const Context&))
// *scale = min(1, max_norm / sqrt(*sum_of_squares)), for gradient_scale above.
HRM_KERNEL(clip_scale,
           (double* scale, const double* sum_of_squares, double max_norm, const Context&))

}  // namespace hrm

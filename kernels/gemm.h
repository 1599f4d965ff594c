// General matrix product C = op(A) op(B) (+ C), batched, operands transposed by their strides.
//
//     Gemm g{.m = 2, .n = 3, .k = 4, .a = a, .a_row = 4, .b = b, .b_row = 3, .c = c, .c_row = 3};
//     cpu::gemm(g, context);   // c [2, 3] = a [2, 4] b [4, 3], in f32
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// C[i, m, n] = beta * C[i, m, n] + sum_k A[i, m, k] B[i, k, n]
// with A[i, m, k] = a[i * a_batch + m * a_row + k * a_col] and likewise B (k, n) and C (m, n; its
// column stride is 1). Strides are in elements. A and B have dtype `type`; C has `c_type`, which is
// `type` or, for bf16 operands, f32. Sums run in f32 (f64 for f64), over k in fixed blocks, so the
// result does not depend on the number of threads. beta is 0 (C is overwritten, never read) or 1:
// then the sum starts from C, or from `add`, of C's type and strides, if that is given (GPU only).
struct Gemm {
  DType type = DType::f32;
  DType c_type = DType::f32;
  int64_t m = 0, n = 0, k = 0;
  int64_t batch = 1;
  const void* a = nullptr;
  int64_t a_row = 0, a_col = 1, a_batch = 0;
  const void* b = nullptr;
  int64_t b_row = 0, b_col = 1, b_batch = 0;
  const void* packed_b = nullptr;  // what cpu::pack_b made of B, if somebody did (batch 1)
  void* c = nullptr;
  int64_t c_row = 0, c_batch = 0;
  double beta = 0;
  const void* add = nullptr;
};

// Whether gemm can start its sums from Gemm::add on this device.
constexpr bool gemm_takes_add(Device device) { return device == Device::cuda; }

HRM_KERNEL(gemm, (const Gemm& g, const Context&))

// The CPU backend reads B in panels of its own. For a B that many products share (a weight), pack
// it once, into packed_b_bytes(g) bytes, and pass the result as packed_b.
HRM_CPU_KERNEL(int64_t, packed_b_bytes, (const Gemm& g))
HRM_CPU_KERNEL(void, pack_b, (const Gemm& g, void* packed))

}  // namespace hrm

// The two products of the CUDA backend behind cuda::gemm: cuBLASLt's and our own.
#pragma once

#include "kernels/gemm.h"

namespace hrm::cuda {

// Any layout, f32, f64 and bf16 (into bf16 or f32).
void gemm_reference(const Gemm& g, const Context& context);

}  // namespace hrm::cuda

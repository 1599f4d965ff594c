// The products of the CUDA backend behind cuda::gemm: cuBLASLt's and our own.
#pragma once

#include <string>

#include "kernels/gemm.h"

namespace hrm::cuda {

// Any layout, f32, f64 and bf16 (into bf16 or f32).
void gemm_reference(const Gemm& g, const Context& context);

// What a product may use of the device's common workspace.
inline constexpr size_t kGemmWorkspace = size_t{192} << 20;

// Whether a large product of bf16 has rows that are not whole units of sixteen bytes.
bool wants_padding(const Gemm& g);
// Multiplies copies that have, by `product`. The added elements are zeros.
void gemm_padded(const Gemm& g, const Context& context,
                 void (*product)(const Gemm&, const Context&));

// f32 products on the tensor cores, with operands rounded to 10 bits of mantissa. Off by default;
// our own product does not have it.
void set_tf32(bool on);

// Whether a large product is tuned (see tune_gemm) when its shape first occurs, with the operands
// that it has then, but not in a recording. Off by default: what is fastest differs from run to
// run, and with it the last bits. Forgets the algorithms chosen so far, not those that were loaded.
void set_gemm_tuning(bool on);

// The algorithm of every shape so far, as text: library and GPU, then a line for each. Loading it
// makes later products of these shapes use the same ones, so that a resumed run repeats bit for
// bit; false if it
// was made by another library version or GPU. Empty and false with our own product, which has only
// one.
std::string gemm_plans();
bool load_gemm_plans(const std::string& text);

// Times up to `most` algorithms for this product (medians of `repeats`, in microseconds; infinite
// if it fails) and keeps the fastest for its shape. C is read, never written. Without memory for
// the sums none is tried.
struct GemmTuning {
  double first_us = 0, best_us = 0;
  int best = 0, tried = 0;
};
GemmTuning tune_gemm(const Gemm& g, int most, int repeats);

}  // namespace hrm::cuda

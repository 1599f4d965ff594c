// Matrix products.
#pragma once

#include <mutex>

#include "autograd/node.h"

namespace hrm {

struct Gemm;

// a [..., m, k] times b [..., k, n]: equal batch dimensions, or b with two dimensions for every
// batch. Transposed operands cost no copy (strides).
Tensor matmul(const Tensor& a, const Tensor& b);

// A weight in the form in which the CPU product reads it (kernels/gemm.h), made at first use and
// again when the weight has changed: once per optimizer step instead of once per product. Whoever
// writes to a weight through data() must call storage().bump_version(). Thread safe.
class PackedWeight {
 public:
  // For g's B, which is `weight` transposed.
  const void* get(const Gemm& g, const Tensor& weight);

 private:
  std::mutex mutex_;
  Tensor weight_;  // what was packed, and its version then
  uint64_t version_ = 0;
  Storage packed_;
};

// y[..., out] = x[..., in] weight[out, in]' (+ bias[out]). In bf16, `weight` and `bias` are the f32
// leaves that receive f32 gradients, and `copy` is the weight's bf16 image, which is what the
// product reads (made on the spot if absent); with a bias the sum is rounded once. `packed` may
// keep the packed form of the weight between calls.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& copy = {},
              const Tensor& bias = {}, PackedWeight* packed = nullptr);

}  // namespace hrm

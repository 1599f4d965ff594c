// Matrix products.
//
//     const Tensor c = matmul(a, b);                  // [m, k] [k, n] -> [m, n]
//     const Tensor y = linear(x, weight, {}, bias);   // x weight' + bias
#pragma once

#include <memory>
#include <mutex>

#include "autograd/node.h"

namespace hrm {

// a [..., m, k] times b [..., k, n]: equal batch dimensions, or b with two dimensions for every
// batch. A vector is a row on the left and a column on the right, and its result has no dimension
// for that: [k] times [k] is a number. Transposed operands cost no copy (strides).
Tensor matmul(const Tensor& a, const Tensor& b);

// A weight in the form in which the CPU product reads it (kernels/gemm.h), made at first use and
// again when the weight has changed: once per optimizer step instead of once per product. Whoever
// writes to a weight through data() must call storage().bump_version(). The rule of the weight's
// gradient lets go of it, since an update follows, and the gradient finds its memory. Thread safe.
class PackedWeight {
 public:
  // packed_b of a product with the transpose of `weight` [out, in], on the CPU.
  const void* get(const Tensor& weight);
  void release();

 private:
  std::mutex mutex_;
  Tensor weight_;  // what was packed, and its version then
  uint64_t version_ = 0;
  Storage packed_;
};

// y[..., out] = x[..., in] weight[out, in]' (+ bias[out]). In bf16, `weight` and `bias` are the f32
// leaves that receive f32 gradients, and `copy` is the weight's bf16 image, which is what the
// product reads (made on the spot if absent); with a bias the sum is rounded once. `packed` may
// keep the packed form of the weight between calls. A `residual` (shape of y) is added: on a GPU
// the product starts from it, so that the sum is rounded once.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& copy = {},
              const Tensor& bias = {}, std::shared_ptr<PackedWeight> packed = nullptr,
              const Tensor& residual = {});

// y[rows, out] = x[rows, in] weight[out, in]', all of one dtype: into memory that exists, where the
// rows of y (and of x) may lie apart. Without gradient.
void linear_into(Tensor& y, const Tensor& x, const Tensor& weight);

// linear(swiglu(gate_up), weight, copy). On the CPU it keeps gate_up alone for the backward pass
// and computes the gate again there: a quarter less memory for a layer's activations.
Tensor swiglu_linear(const Tensor& gate_up, const Tensor& weight, const Tensor& copy = {},
                     const std::shared_ptr<PackedWeight>& packed = nullptr,
                     const Tensor& residual = {});

}  // namespace hrm

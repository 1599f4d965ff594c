#include "autograd/ops/matmul.h"

#include "autograd/grad_mode.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/reduce.h"
#include "kernels/gemm.h"

namespace hrm {
namespace {

// A stack of matrices with one batch stride; copied if the batch dimensions do not collapse.
struct Batched {
  explicit Batched(const Tensor& t) : tensor(t) {
    const auto collapses = [](const Tensor& m) {
      for (int i = 0; i + 3 < m.ndim(); ++i)
        if (m.shape()[i] != 1 && m.strides()[i] != m.shape()[i + 1] * m.strides()[i + 1])
          return false;
      return true;
    };
    if (!collapses(tensor)) tensor = tensor.clone();
    for (int i = 0; i + 2 < tensor.ndim(); ++i) batch *= tensor.shape()[i];
    batch_stride = tensor.ndim() > 2 ? tensor.strides()[-3] : 0;
    row = tensor.strides()[-2], col = tensor.strides()[-1];
  }
  Tensor tensor;
  int64_t batch = 1, batch_stride = 0, row = 0, col = 0;
};

// a @ b without recording, the result in `dtype` (that of a, or f32 from bf16). `packed`, if given,
// keeps b, a transposed weight, in packed form.
Tensor multiply(const Tensor& a, const Tensor& b, DType dtype, PackedWeight* packed = nullptr) {
  const Batched left(a), right(b);
  const int64_t m = a.shape()[-2], n = b.shape()[-1];
  Tensor y = empty(a.shape().with(a.ndim() - 1, n), dtype, a.device());
  Gemm g;
  g.type = a.dtype(), g.c_type = dtype;
  g.m = m, g.n = n, g.k = a.shape()[-1], g.batch = left.batch;
  g.a = left.tensor.data(), g.a_row = left.row, g.a_col = left.col, g.a_batch = left.batch_stride;
  g.b = right.tensor.data(), g.b_row = right.row, g.b_col = right.col;
  g.b_batch = b.ndim() > 2 ? right.batch_stride : 0;
  g.c = y.data(), g.c_row = n, g.c_batch = m * n;
  if (packed && b.device() == Device::cpu) g.packed_b = packed->get(g, b);
  HRM_DISPATCH(gemm, a.context(), g);
  return y;
}

// [..., k] as one matrix [rows, k].
Tensor as_rows(const Tensor& x) { return x.contiguous().view({-1, x.shape().back()}); }

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  const auto batch_of = [](const Tensor& t) {
    return Shape(std::span<const int64_t>(t.shape().begin(), t.ndim() - 2));
  };
  CHECK(a.ndim() >= 2 && b.ndim() >= 2 && a.shape()[-1] == b.shape()[-2] &&
            a.dtype() == b.dtype() && (b.ndim() == 2 || batch_of(a) == batch_of(b)),
        "[matmul] needs [..., m, k] and [..., k, n] of one dtype, got ", a.dtype(), a.shape(),
        " and ", b.dtype(), b.shape());
  return record("matmul", multiply(a, b, a.dtype()), {a, b}, {{"a", a}, {"b", b}},
                [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  Tensors grads(2);
                  if (saved.needs(0)) grads[0] = multiply(dy, b.transposed(-1, -2), a.dtype());
                  if (saved.needs(1))
                    grads[1] = b.ndim() == 2
                                   ? multiply(as_rows(a).transposed(0, 1), as_rows(dy), b.dtype())
                                   : multiply(a.transposed(-1, -2), dy, b.dtype());
                  return grads;
                });
}

const void* PackedWeight::get(const Gemm& g, const Tensor& weight) {
  const std::lock_guard lock(mutex_);
  const uint64_t version = weight.storage().version();
  const bool same = weight_.defined() && weight_.storage().same_as(weight.storage()) &&
                    weight_.offset() == weight.offset() && weight_.shape() == weight.shape() &&
                    weight_.strides() == weight.strides() && version_ == version;
  if (!same) {
    const auto bytes = static_cast<size_t>(cpu::packed_b_bytes(g));
    if (packed_.bytes() < bytes) packed_ = Storage(bytes, Device::cpu);
    cpu::pack_b(g, packed_.data());
    weight_ = weight, version_ = version;
  }
  return packed_.data();
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& copy, const Tensor& bias,
              PackedWeight* packed) {
  const Tensor w = copy.defined() ? copy : weight.to(x.dtype());
  CHECK(x.ndim() >= 1 && weight.ndim() == 2 && x.shape().back() == weight.shape()[1],
        "[linear] needs x [..., in] and weight [out, in], got ", x.shape(), " and ",
        weight.shape());
  const DType wide = accumulate_type(x.dtype());
  CHECK(w.dtype() == x.dtype() && wide == weight.dtype(), "[linear] weight of ", x.dtype(),
        " inputs must be ", wide, ", got ", weight.dtype(), " with a ", w.dtype(), " copy");
  const Tensor rows = as_rows(x);
  if (!w.storage().same_as(weight.storage()) && !copy.defined()) packed = nullptr;  // w is of today
  Tensor y = multiply(rows, w.transposed(0, 1), bias.defined() ? wide : x.dtype(), packed);
  if (bias.defined()) {
    const NoGradGuard no_grad;
    y = (y + bias.to(x.dtype()).to(wide)).to(x.dtype());
  }
  y = y.view(x.shape().with(x.ndim() - 1, weight.shape()[0]));
  return record("linear", y, bias.defined() ? Tensors{x, weight, bias} : Tensors{x, weight},
                {{"x", rows}, {"weight", w}},
                [shape = x.shape(), wide](const Saved& saved, const Tensor& grad) {
                  const Tensor dy = as_rows(grad), &x = saved["x"], &w = saved["weight"];
                  Tensors grads(saved.inputs());
                  if (saved.needs(0)) grads[0] = multiply(dy, w, x.dtype()).view(shape);
                  if (saved.needs(1)) grads[1] = multiply(dy.transposed(0, 1), x, wide);
                  if (grads.size() == 3 && saved.needs(2))
                    grads[2] = reduce_sum(dy.to(wide), 0, false);
                  return grads;
                });
}

}  // namespace hrm

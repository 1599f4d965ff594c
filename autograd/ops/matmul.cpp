#include "autograd/ops/matmul.h"

#include "autograd/grad_mode.h"
#include "autograd/op_trace.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/swiglu.h"
#include "autograd/ops/view.h"
#include "kernels/gemm.h"

namespace hrm {
namespace {

// A stack of matrices with one batch stride; copied if the batch dimensions do not collapse.
struct Batched {
  explicit Batched(const Tensor& t) : tensor(t) {
    if (collapses()) return;
    tensor = tensor.clone();
    collapses();
  }
  // Counts the matrices, and finds how far apart they lie: from the last batch dimension on,
  // passing over those of size 1. False if they do not lie at equal distances.
  bool collapses() {
    batch = 1;
    stride = 0;
    for (int i = tensor.ndim() - 3; i >= 0; --i) {
      if (tensor.shape()[i] == 1) continue;
      if (batch == 1) stride = tensor.strides()[i];
      if (tensor.strides()[i] != batch * stride) return false;
      batch *= tensor.shape()[i];
    }
    return true;
  }
  Tensor tensor;
  int64_t batch = 1, stride = 0;
};

// The product of two matrices.
Gemm product_of(const Tensor& a, const Tensor& b) {
  Gemm g;
  g.type = g.c_type = a.dtype();
  g.m = a.shape()[-2];
  g.n = b.shape()[-1];
  g.k = a.shape()[-1];
  g.a = a.data();
  g.a_row = a.strides()[-2];
  g.a_col = a.strides()[-1];
  g.b = b.data();
  g.b_row = b.strides()[-2];
  g.b_col = b.strides()[-1];
  return g;
}

void count_flops(const Gemm& g) {
  if (trace::on())
    trace::add_flops(2.0 * static_cast<double>(g.batch) * static_cast<double>(g.m) *
                     static_cast<double>(g.n) * static_cast<double>(g.k));
}

// a @ b without recording, the result in `dtype` (that of a, or f32 from bf16). `packed_b`: b as
// PackedWeight::get returned it; `add`: what the sums start from, on a GPU.
Tensor multiply(const Tensor& a, const Tensor& b, DType dtype, const void* packed_b = nullptr,
                const void* add = nullptr) {
  const NoGradGuard no_grad;
  check_same_device("matmul", {&a, &b});
  const Batched left(a), right(b);
  Gemm g = product_of(left.tensor, right.tensor);
  Tensor y = empty(a.shape().with(a.ndim() - 1, g.n), dtype, a.device());
  g.batch = left.batch;
  g.a_batch = left.stride;
  g.b_batch = b.ndim() > 2 ? right.stride : 0;
  g.c = y.data();
  g.c_type = dtype;
  g.c_row = g.n;
  g.c_batch = g.m * g.n;
  g.packed_b = packed_b;
  g.add = add;
  g.beta = add ? 1 : 0;
  count_flops(g);
  HRM_DISPATCH(gemm, a.context(), g);
  return y;
}

// [..., k] as one matrix [rows, k].
Tensor as_rows(const Tensor& x) {
  const NoGradGuard no_grad;
  return x.contiguous().view({-1, x.shape().back()});
}

// What the product reads: the weight in the type of x.
Tensor in_type_of(const Tensor& x, const Tensor& weight, const Tensor& copy) {
  const NoGradGuard no_grad;
  return copy.defined() ? copy : weight.to(x.dtype());
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  if (a.ndim() == 1) return squeeze(matmul(unsqueeze(a, 0), b), b.ndim() == 1 ? 0 : -2);
  if (b.ndim() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  const auto batch_of = [](const Tensor& t) {
    return Shape(std::span<const int64_t>(t.shape().begin(), t.ndim() - 2));
  };
  HRM_CHECK(a.ndim() >= 2 && b.ndim() >= 2 && a.shape()[-1] == b.shape()[-2] &&
                a.dtype() == b.dtype() && (b.ndim() == 2 || batch_of(a) == batch_of(b)),
            "[matmul] needs [..., m, k] and [..., k, n] of one dtype, got ", a.dtype(), a.shape(),
            " and ", b.dtype(), b.shape());
  return record("matmul", multiply(a, b, a.dtype()), {a, b}, {{"a", a}, {"b", b}},
                [](const Saved& saved, const Tensor& dy) {
                  const Tensor &a = saved["a"], &b = saved["b"];
                  Tensors grads(2);
                  if (saved.needs(0)) grads[0] = multiply(dy, b.transpose(-1, -2), a.dtype());
                  if (saved.needs(1))
                    grads[1] = b.ndim() == 2
                                   ? multiply(as_rows(a).transpose(0, 1), as_rows(dy), b.dtype())
                                   : multiply(a.transpose(-1, -2), dy, b.dtype());
                  return grads;
                });
}

const void* PackedWeight::get(const Tensor& weight) {
  const NoGradGuard no_grad;
  const std::lock_guard lock(mutex_);
  const uint64_t version = weight.storage().version();
  const bool same = weight_.defined() && weight_.storage().same_as(weight.storage()) &&
                    weight_.offset() == weight.offset() && weight_.shape() == weight.shape() &&
                    weight_.strides() == weight.strides() && version_ == version;
  if (!same) {
    const Gemm g = product_of(weight, weight.transpose(0, 1));
    const auto bytes = static_cast<size_t>(cpu::packed_b_bytes(g));
    if (packed_.bytes() < bytes) packed_ = Storage(bytes, Device::cpu);
    cpu::pack_b(g, packed_.data());
    weight_ = weight;
    version_ = version;
  }
  return packed_.data();
}

void PackedWeight::release() {
  const std::lock_guard lock(mutex_);
  weight_ = {};
  packed_ = {};
}

namespace {

struct LinearGradients {
  Tensor x, weight;  // in the dtype of x, in f32 (f64 for f64)
};

// Those of y = x w', all with two dimensions, as far as inputs 0 (x) and 1 (the weight) need them.
// `x` is called for when the weight does; `arrived` may be what the gradient of x starts from, on a
// GPU.
template <class X>
LinearGradients linear_gradients(const Saved& saved, const Tensor& dy, const Tensor& w,
                                 PackedWeight* packed, const X& x, const Tensor& arrived = {}) {
  LinearGradients d;
  if (saved.needs(1)) {
    if (packed) packed->release();
    d.weight = multiply(dy.transpose(0, 1), x(), accumulate_type(dy.dtype()));
  }
  if (saved.needs(0))
    d.x = multiply(dy, w, dy.dtype(), nullptr, arrived.defined() ? arrived.data() : nullptr);
  return d;
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& copy, const Tensor& bias,
              std::shared_ptr<PackedWeight> packed, const Tensor& residual) {
  const Tensor w = in_type_of(x, weight, copy);
  HRM_CHECK(x.ndim() >= 1 && weight.ndim() == 2 && x.shape().back() == weight.shape()[1],
            "[linear] needs x [..., in] and weight [out, in], got ", x.shape(), " and ",
            weight.shape());
  const DType wide = accumulate_type(x.dtype());
  HRM_CHECK(w.dtype() == x.dtype() && wide == weight.dtype(), "[linear] weight of ", x.dtype(),
            " inputs must be ", wide, ", got ", weight.dtype(), " with a ", w.dtype(), " copy");
  const Tensor rows = as_rows(x);
  if (!w.storage().same_as(weight.storage()) && !copy.defined()) packed = nullptr;  // w is of today
  const bool keeps = packed && x.device() == Device::cpu;
  const Shape shape = x.shape().with(x.ndim() - 1, weight.shape()[0]);
  HRM_CHECK(!residual.defined() || (residual.shape() == shape && residual.dtype() == x.dtype()),
            "[linear] the residual must be ", x.dtype(), shape, ", got ", residual.dtype(),
            residual.shape());
  const bool fused = gemm_takes_add(x.device()) && !bias.defined() && fusion_enabled();
  if (residual.defined() && !fused) return linear(x, weight, copy, bias, packed) + residual;
  Tensor y;
  {
    const NoGradGuard no_grad;
    const TraceHold hold;
    const Tensor start = residual.defined() ? residual.contiguous() : Tensor();
    y = multiply(rows, w.transpose(0, 1), bias.defined() ? wide : x.dtype(),
                 keeps ? packed->get(w) : nullptr, start.defined() ? start.data() : nullptr);
    if (bias.defined()) y = (y + bias.to(x.dtype()).to(wide)).to(x.dtype());
    y = y.view(shape);
  }
  Tensors inputs = {x, weight};
  if (bias.defined()) inputs.push_back(bias);
  if (residual.defined()) inputs.push_back(residual);
  return record("linear", y, inputs, {{"x", rows}, {"weight", w}},
                [shape = x.shape(), wide, packed, has_bias = bias.defined()](const Saved& saved,
                                                                             const Tensor& grad) {
                  const Tensor dy = as_rows(grad);
                  // Where x goes on beside this layer as well, as a residual.
                  const bool adds = gemm_takes_add(dy.device()) && fusion_enabled();
                  const Tensor arrived = adds ? saved.take_arrived(0) : Tensor();
                  const auto d = linear_gradients(
                      saved, dy, saved["weight"], packed.get(), [&] { return saved["x"]; },
                      arrived.defined() ? arrived.contiguous() : Tensor());
                  Tensors grads(saved.inputs());
                  if (saved.needs(0)) grads[0] = d.x.view(shape);
                  grads[1] = d.weight;
                  if (has_bias && saved.needs(2)) grads[2] = dy.to(wide).sum(0, false);
                  if (grads.size() > (has_bias ? 3 : 2)) grads.back() = grad;  // the residual's
                  return grads;
                });
}

void linear_into(Tensor& y, const Tensor& x, const Tensor& weight) {
  HRM_CHECK(x.ndim() == 2 && weight.ndim() == 2 && weight.size(1) == x.size(1) &&
                y.shape() == Shape({x.size(0), weight.size(0)}) && y.dtype() == x.dtype() &&
                weight.dtype() == x.dtype() && y.strides()[1] == 1,
            "[linear_into] needs x [rows, in], weight [out, in] and y [rows, out] of one dtype, "
            "the elements of a row of y side by side, got ",
            x.dtype(), x.shape(), ", ", weight.dtype(), weight.shape(), " and ", y.dtype(),
            y.shape());
  check_same_device("linear_into", {&y, &x, &weight});
  require_not_recording("linear_into", {y, x, weight});
  Gemm g = product_of(x, weight.transpose(0, 1));
  g.c = y.data();
  g.c_row = y.strides()[0];
  count_flops(g);
  HRM_DISPATCH(gemm, x.context(), g);
  y.storage().bump_version();
}

Tensor swiglu_linear(const Tensor& input, const Tensor& weight, const Tensor& copy,
                     const std::shared_ptr<PackedWeight>& packed, const Tensor& residual) {
  if (!fusion_enabled() || !recording({input, weight}))
    return linear(swiglu(input), weight, copy, {}, packed, residual);
  const Tensor gate_up = dense(input);
  const Tensor w = in_type_of(input, weight, copy);
  Tensor y, kept;
  {
    const NoGradGuard no_grad;
    const TraceHold hold;
    const Tensor activation = swiglu(gate_up);
    y = linear(activation, weight, copy, {}, packed, residual);
    // The weight's gradient reads it in any case; a GPU has the memory to spare it the computing.
    if (input.device() == Device::cuda && weight.requires_grad()) kept = activation;
  }
  Tensors inputs = {input, weight};
  if (residual.defined()) inputs.push_back(residual);
  return record(
      "swiglu_linear", y, inputs, {{"gate_up", gate_up}, {"weight", w}, {"activation", kept}},
      [packed](const Saved& saved, const Tensor& grad) {
        const Tensor &gate_up = saved["gate_up"], &kept = saved["activation"];
        const auto d = linear_gradients(saved, as_rows(grad), saved["weight"], packed.get(), [&] {
          return as_rows(kept.defined() ? kept : swiglu(gate_up));
        });
        Tensors grads(saved.inputs());
        if (saved.needs(0)) grads[0] = swiglu_gradient(gate_up, d.x);
        grads[1] = d.weight;
        if (grads.size() == 3) grads[2] = grad;
        return grads;
      });
}

}  // namespace hrm

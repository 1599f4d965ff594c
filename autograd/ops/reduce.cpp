#include "autograd/ops/reduce.h"

#include "autograd/grad_mode.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/unary.h"
#include "autograd/ops/view.h"
#include "kernels/embedding.h"
#include "kernels/reduce.h"
#include "kernels/topk.h"

namespace hrm {
namespace {

// x seen as [outer, reduced, inner] around `dim`.
struct Span {
  int64_t outer = 1, reduced = 1, inner = 1;
  Span(const Shape& shape, int dim) : reduced(shape[dim]) {
    for (int i = 0; i < dim; ++i) outer *= shape[i];
    for (int i = dim + 1; i < shape.ndim(); ++i) inner *= shape[i];
  }
};

Shape reduced_shape(const Shape& shape, int dim, bool keepdim) {
  return keepdim ? shape.with(dim, 1) : shape.without(dim);
}

void require_floating(const char* op, const Tensor& x) {
  HRM_CHECK(is_floating(x.dtype()), "[", op, "] needs a floating dtype, got ", x.dtype(),
            ". HINT: cast() it first");
}

Tensor softmax_impl(const Tensor& input, bool log) {
  HRM_CHECK(input.ndim() >= 1, "[softmax] input must have a dimension, got shape ", input.shape());
  const Tensor x = dense(input);
  const int64_t cols = x.shape().back(), rows = cols ? x.numel() / cols : 0;
  Tensor y = empty_like(x);
  HRM_DISPATCH(softmax, x.context(), x.dtype(), y.data(), x.data(), rows, cols, log);
  return record(log ? "log_softmax" : "softmax", y, {input}, {{"y", y}},
                [rows, cols, log](const Saved& saved, const Tensor& grad) {
                  const Tensor dy = grad.contiguous(), &y = saved["y"];
                  Tensor dx = empty_like(y);
                  HRM_DISPATCH(softmax_backward, y.context(), y.dtype(), dx.data(), y.data(),
                               dy.data(), rows, cols, log);
                  return Tensors{dx};
                });
}

// x with `dims` merged into one dimension, the last.
struct Merged {
  std::vector<int> order;  // of the dimensions of x: those that are kept, then the others
  Shape permuted;          // of x in that order
  Shape kept;              // of a reduction, with 1 for each dimension of `dims`
  Shape kept_without;      // without them
  Tensor x;                // [kept_without..., elements of dims]

  Merged(const char* op, const Tensor& input, const Dims& dims) {
    HRM_CHECK(!dims.empty(), "[", op, "] needs at least one dimension of ", input.shape());
    kept = input.shape();
    std::vector<bool> goes(input.ndim(), false);
    for (int dim : dims) {
      dim = wrap_dim(dim, input.ndim(), op);
      HRM_CHECK(!goes[dim], "[", op, "] dimension ", dim, " of ", input.shape(), " comes twice");
      goes[dim] = true;
      kept[dim] = 1;
    }
    std::vector<int64_t> sizes;
    for (const bool going : {false, true})
      for (int i = 0; i < input.ndim(); ++i)
        if (goes[i] == going) order.push_back(i);
    for (int i : order) sizes.push_back(input.size(i));
    permuted = Shape(sizes);
    kept_without = Shape(std::span(sizes).first(sizes.size() - dims.size()));
    int64_t elements = 1;
    for (int i = kept_without.ndim(); i < permuted.ndim(); ++i) elements *= permuted[i];
    x = reshape(permute(input, order), kept_without.inserted(kept_without.ndim(), elements));
  }

  // The result of a reduction over the last dimension of x, as the caller wants it.
  Tensor reduced(const Tensor& y, bool keepdim) const {
    return reshape(y, keepdim ? kept : kept_without);
  }
  // A tensor like x, with its dimensions where they were.
  Tensor restored(const Tensor& y) const {
    std::vector<int> back(order.size());
    for (size_t i = 0; i < order.size(); ++i) back[order[i]] = static_cast<int>(i);
    return permute(reshape(y, permuted), back);
  }
};

}  // namespace

Tensor sum(const Tensor& x) {
  Tensor y;
  {
    const NoGradGuard no_grad;
    y = x.contiguous().view({x.numel()}).sum(0, false);
  }
  return record("sum", y, {x}, {}, [shape = x.shape()](const Saved&, const Tensor& dy) {
    return Tensors{dy.expand(shape)};
  });
}

Tensor sum(const Tensor& x, int dim, bool keepdim) { return x.sum(dim, keepdim); }

Tensor mean(const Tensor& x) {
  require_floating("mean", x);
  return affine(sum(x), 1.0 / static_cast<double>(x.numel()));
}

Tensor mean(const Tensor& x, int dim, bool keepdim) {
  require_floating("mean", x);
  return affine(sum(x, dim, keepdim), 1.0 / static_cast<double>(x.size(dim)));
}

Tensor var(const Tensor& x) { return var(flatten(x), 0); }

Tensor var(const Tensor& x, int dim, bool keepdim, double correction) {
  const double count = static_cast<double>(x.size(dim)) - correction;
  return affine(sum(square(x - mean(x, dim, true)), dim, keepdim), 1 / count);
}

Tensor max(const Tensor& x) { return max(flatten(x), 0); }
Tensor min(const Tensor& x) { return min(flatten(x), 0); }

Tensor max(const Tensor& input, int dim, bool keepdim) {
  dim = wrap_dim(dim, input.ndim(), "max");
  const Tensor x = dense(input);
  const Span s(x.shape(), dim);
  HRM_CHECK(s.reduced >= 1, "[max] dimension ", dim, " of ", x.shape(), " is empty");
  Tensor y = empty(reduced_shape(x.shape(), dim, keepdim), x.dtype(), x.device());
  Tensor index = empty(y.shape(), DType::i32, x.device());
  HRM_DISPATCH(max, x.context(), x.dtype(), y.data(), index.data<int32_t>(), x.data(), s.outer,
               s.reduced, s.inner);
  return record("max", y, {input}, {{"index", index}},
                [s, shape = x.shape()](const Saved& saved, const Tensor& grad) {
                  const Tensor dy = grad.contiguous();
                  Tensor dx = empty(shape, dy.dtype(), dy.device());
                  HRM_DISPATCH(max_backward, dy.context(), dy.dtype(), dx.data(), dy.data(),
                               saved["index"].data<int32_t>(), s.outer, s.reduced, s.inner);
                  return Tensors{dx};
                });
}

Tensor min(const Tensor& x, int dim, bool keepdim) {
  if (is_floating(x.dtype())) return -max(-x, dim, keepdim);
  // The least integer has no negative one; f64 holds them all.
  return cast(min(cast(x, DType::f64), dim, keepdim), x.dtype());
}

Tensor argmax(const Tensor& input) {
  HRM_CHECK(input.ndim() >= 1 && input.shape().back() >= 1,
            "[argmax] the last dimension must not be empty, got shape ", input.shape());
  const Tensor x = dense(input);
  const Span s(x.shape(), x.ndim() - 1);
  Tensor value = empty(reduced_shape(x.shape(), x.ndim() - 1, false), x.dtype(), x.device());
  Tensor index = empty(value.shape(), DType::i32, x.device());
  HRM_DISPATCH(max, x.context(), x.dtype(), value.data(), index.data<int32_t>(), x.data(), s.outer,
               s.reduced, s.inner);
  return index;
}

std::pair<Tensor, Tensor> topk(const Tensor& input, int64_t k) {
  HRM_CHECK(input.ndim() >= 1 && k >= 0 && k <= input.shape().back(), "[topk] k must be in 0..",
            input.ndim() >= 1 ? input.shape().back() : 0, ", the size of the last dimension of ",
            input.shape(), ", got ", k);
  const Tensor x = dense(input);
  const int64_t cols = x.shape().back(), rows = cols ? x.numel() / cols : 0;
  const Shape shape = x.shape().with(x.ndim() - 1, k);
  Tensor values = empty(shape, x.dtype(), x.device());
  Tensor positions = empty(shape, DType::i32, x.device());
  HRM_DISPATCH(topk, x.context(), x.dtype(), values.data(), positions.data<int32_t>(), x.data(),
               rows, cols, k);
  record("topk", values, {input}, {{"positions", positions}},
         [from = x.shape(), rows, cols, k](const Saved& saved, const Tensor& grad) {
           const Tensor dy = grad.contiguous();
           Tensor dx = zeros(from, dy.dtype(), dy.device());
           HRM_DISPATCH(scatter_add_last, dy.context(), dy.dtype(), dx.data(), dy.data(),
                        saved["positions"].data<int32_t>(), rows, cols, k);
           return Tensors{dx};
         });
  return {values, positions};
}

namespace {
Tensor softmax_along(const Tensor& x, int dim, bool log) {
  dim = wrap_dim(dim, x.ndim(), "softmax");
  const int last = x.ndim() - 1;
  if (dim == last) return softmax_impl(x, log);
  return transpose(softmax_impl(transpose(x, dim, last), log), dim, last);
}
}  // namespace

Tensor softmax(const Tensor& x) { return softmax_impl(x, false); }
Tensor softmax(const Tensor& x, int dim) { return softmax_along(x, dim, false); }
Tensor log_softmax(const Tensor& x) { return softmax_impl(x, true); }
Tensor log_softmax(const Tensor& x, int dim) { return softmax_along(x, dim, true); }

Tensor sum(const Tensor& x, const Dims& dims, bool keepdim) {
  const Merged merged("sum", x, dims);
  return merged.reduced(sum(merged.x, -1), keepdim);
}

Tensor mean(const Tensor& x, const Dims& dims, bool keepdim) {
  const Merged merged("mean", x, dims);
  return merged.reduced(mean(merged.x, -1), keepdim);
}

Tensor max(const Tensor& x, const Dims& dims, bool keepdim) {
  const Merged merged("max", x, dims);
  return merged.reduced(max(merged.x, -1), keepdim);
}

Tensor min(const Tensor& x, const Dims& dims, bool keepdim) {
  const Merged merged("min", x, dims);
  return merged.reduced(min(merged.x, -1), keepdim);
}

Tensor softmax(const Tensor& x, const Dims& dims) {
  const Merged merged("softmax", x, dims);
  return merged.restored(softmax(merged.x));
}

Tensor log_softmax(const Tensor& x, const Dims& dims) {
  const Merged merged("log_softmax", x, dims);
  return merged.restored(log_softmax(merged.x));
}

Tensor logsumexp(const Tensor& x, const Dims& dims, bool keepdim) {
  const Merged merged("logsumexp", x, dims);
  Tensor largest;
  {
    const NoGradGuard no_grad;
    largest = max(merged.x, -1, true);
    // An infinite one would make NaN of its own difference.
    const Tensor finite = compare(CompareOp::ge, largest - largest, 0.0);
    largest = where(finite, largest, zeros({}, x.dtype(), x.device()));
  }
  return merged.reduced(log(sum(exp(merged.x - largest), -1, true)) + largest, keepdim);
}

Tensor masked_mean(const Tensor& x, const Tensor& mask, const Dims& dims, bool keepdim,
                   double eps) {
  const Tensor total = sum(x * mask, dims, keepdim);
  return total / (sum(expand(mask, x.shape()), dims, keepdim) + eps);
}

Tensor standardize(const Tensor& x, const Dims& dims, double eps) {
  const Tensor centred = x - mean(x, dims, true);
  return centred * rsqrt(mean(square(centred), dims, true) + eps);
}

}  // namespace hrm

#include "autograd/ops/view.h"

#include <algorithm>

#include "autograd/grad_mode.h"
#include "autograd/ops/arithmetic.h"

namespace hrm {

Tensor reshape(const Tensor& x, const Shape& shape) { return x.contiguous().view(shape); }

Tensor transpose(const Tensor& x, int a, int b) { return x.transpose(a, b); }

Tensor permute(const Tensor& x, const std::vector<int>& order) {
  HRM_CHECK(static_cast<int>(order.size()) == x.ndim(), "[permute] needs each dimension of ",
            x.shape(), " once, got ", order.size(), " of them");
  Shape shape = x.shape(), strides = x.strides();
  std::vector<int> back(order.size(), -1);
  for (int i = 0; i < x.ndim(); ++i) {
    const int from = wrap_dim(order[i], x.ndim(), "permute");
    HRM_CHECK(back[from] < 0, "[permute] dimension ", from, " of ", x.shape(), " comes twice");
    back[from] = i;
    shape[i] = x.shape()[from];
    strides[i] = x.strides()[from];
  }
  return record("permute", Tensor(x.storage(), x.offset(), shape, strides, x.dtype()), {x}, {},
                [back](const Saved&, const Tensor& dy) { return Tensors{permute(dy, back)}; });
}

Tensor slice(const Tensor& x, int dim, int64_t start, int64_t end, int64_t step) {
  return x.slice(dim, start, end, step);
}

Tensor select(const Tensor& x, int dim, int64_t position) { return x.select(dim, position); }

Tensor unsqueeze(const Tensor& x, int dim) {
  dim = wrap_dim(dim, x.ndim() + 1, "unsqueeze");
  const Tensor y(x.storage(), x.offset(), x.shape().inserted(dim, 1), x.strides().inserted(dim, 1),
                 x.dtype());
  return record("unsqueeze", y, {x}, {},
                [dim](const Saved&, const Tensor& dy) { return Tensors{squeeze(dy, dim)}; });
}

Tensor squeeze(const Tensor& x, int dim) {
  dim = wrap_dim(dim, x.ndim(), "squeeze");
  HRM_CHECK(x.size(dim) == 1, "[squeeze] dimension ", dim, " of ", x.shape(), " must have size 1");
  const Tensor y(x.storage(), x.offset(), x.shape().without(dim), x.strides().without(dim),
                 x.dtype());
  return record("squeeze", y, {x}, {},
                [dim](const Saved&, const Tensor& dy) { return Tensors{unsqueeze(dy, dim)}; });
}

Tensor squeeze(const Tensor& x) {
  Tensor y = x;
  for (int dim = x.ndim() - 1; dim >= 0; --dim)
    if (x.size(dim) == 1) y = squeeze(y, dim);
  return y;
}

Tensor flatten(const Tensor& x, int from) {
  if (x.ndim() == 0) return reshape(x, {1});
  from = wrap_dim(from, x.ndim(), "flatten");
  Shape shape(std::span<const int64_t>(x.shape().begin(), from));
  int64_t rest = 1;
  for (int dim = from; dim < x.ndim(); ++dim) rest *= x.size(dim);
  return reshape(x, shape.inserted(from, rest));
}

Tensor expand(const Tensor& x, const Shape& shape) { return x.expand(shape); }

Tensor concat(const Tensors& parts, int dim) {
  HRM_CHECK(!parts.empty(), "[concat] needs at least one tensor");
  dim = wrap_dim(dim, parts[0].ndim(), "concat");
  int64_t total = 0;
  std::vector<int64_t> sizes;
  for (const Tensor& part : parts) {
    HRM_CHECK(part.ndim() == parts[0].ndim() &&
                  part.shape().with(dim, 0) == parts[0].shape().with(dim, 0) &&
                  part.dtype() == parts[0].dtype(),
              "[concat] parts must agree in dtype and in all dimensions but ", dim, ", got ",
              parts[0].dtype(), parts[0].shape(), " and ", part.dtype(), part.shape());
    sizes.push_back(part.size(dim));
    total += sizes.back();
  }
  const Tensor y = empty(parts[0].shape().with(dim, total), parts[0].dtype(), parts[0].device());
  {
    const NoGradGuard no_grad;
    int64_t at = 0;
    for (size_t i = 0; i < parts.size(); at += sizes[i++])
      y.slice(dim, at, at + sizes[i]).copy_from(parts[i]);
  }
  if (trace::on()) trace_op("concat", {y}, parts);
  if (recording(parts))
    record_node("concat", {y}, parts, Saved("concat", {}),
                [dim, sizes](const Saved&, const Tensors& grads) {
                  Tensors result;
                  int64_t at = 0;
                  for (int64_t size : sizes) {
                    result.push_back(grads[0].slice(dim, at, at + size));
                    at += size;
                  }
                  return result;
                });
  return y;
}

Tensor stack(const Tensors& parts, int dim) {
  HRM_CHECK(!parts.empty(), "[stack] needs at least one tensor");
  dim = wrap_dim(dim, parts[0].ndim() + 1, "stack");
  Tensors slices;
  for (const Tensor& part : parts) {
    HRM_CHECK(part.shape() == parts[0].shape() && part.dtype() == parts[0].dtype(),
              "[stack] parts must agree in shape and dtype, got ", parts[0].dtype(),
              parts[0].shape(), " and ", part.dtype(), part.shape());
    slices.push_back(reshape(part, part.shape().inserted(dim, 1)));
  }
  return concat(slices, dim);
}

Tensor pad(const Tensor& x, int dim, int64_t before, int64_t after) {
  dim = wrap_dim(dim, x.ndim(), "pad");
  HRM_CHECK(before >= 0 && after >= 0, "[pad] widths must not be negative, got ", before, " and ",
            after);
  const int64_t size = x.size(dim);
  const Tensor y = zeros(x.shape().with(dim, before + size + after), x.dtype(), x.device());
  {
    const NoGradGuard no_grad;
    y.slice(dim, before, before + size).copy_from(x);
  }
  return record("pad", y, {x}, {}, [dim, before, size](const Saved&, const Tensor& dy) {
    return Tensors{dy.slice(dim, before, before + size)};
  });
}

Tensor flip(const Tensor& x, int dim) {
  dim = wrap_dim(dim, x.ndim(), "flip");
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  if (x.numel() > 0) {
    const NoGradGuard no_grad;
    // The same elements from the last one on, by a negative stride.
    Shape strides = x.strides();
    const int64_t last = x.offset() + (x.size(dim) - 1) * strides[dim];
    strides[dim] = -strides[dim];
    y.copy_from(Tensor(x.storage(), last, x.shape(), strides, x.dtype()));
  }
  return record("flip", y, {x}, {},
                [dim](const Saved&, const Tensor& dy) { return Tensors{flip(dy, dim)}; });
}

Tensor shift(const Tensor& x, int dim, int64_t by) {
  dim = wrap_dim(dim, x.ndim(), "shift");
  const int64_t size = x.size(dim), in = std::clamp(by, -size, size);
  if (in >= 0) return pad(slice(x, dim, 0, size - in), dim, in, 0);
  return pad(slice(x, dim, -in, size), dim, 0, -in);
}

namespace {
// x where keep(row, column) holds, 0 elsewhere.
template <class Keep>
Tensor triangle(const char* op, const Tensor& x, const Keep& keep) {
  HRM_CHECK(x.ndim() >= 2, "[", op, "] needs two dimensions, got shape ", x.shape());
  const int64_t rows = x.size(-2), cols = x.size(-1);
  std::vector<uint8_t> mask(rows * cols);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) mask[r * cols + c] = keep(r, c) ? 1 : 0;
  return where(from_vector(mask, {rows, cols}).to(x.device()), x, zeros({}, x.dtype(), x.device()));
}
}  // namespace

Tensor tril(const Tensor& x, int64_t diagonal) {
  return triangle("tril", x, [=](int64_t row, int64_t col) { return col - row <= diagonal; });
}

Tensor triu(const Tensor& x, int64_t diagonal) {
  return triangle("triu", x, [=](int64_t row, int64_t col) { return col - row >= diagonal; });
}

}  // namespace hrm

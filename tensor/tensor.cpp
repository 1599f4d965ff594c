#include "tensor/tensor.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cast.h"
#include "kernels/device.h"
#include "kernels/reduce.h"

namespace hrm {

AutogradHooks& autograd_hooks() {
  static AutogradHooks hooks;
  return hooks;
}

void Tensor::operator=(const Tensor& values) && { copy_from(values.expand(shape())); }

void Tensor::operator=(double value) && { fill(value); }

// Whether autograd wants to know what is made of this tensor.
bool Tensor::recording() const {
  const AutogradHooks& hooks = autograd_hooks();
  return requires_grad() && hooks.enabled && hooks.enabled();
}

// What a member returns: `result`, recorded if need be.
template <class Adjoint>
Tensor Tensor::recorded(const char* name, const Tensor& result, const Adjoint& adjoint) const {
  if (recording()) autograd_hooks().record(name, result, *this, adjoint);
  return result;
}

void check_number(const char* op, DType dtype, double value) {
  if (is_floating(dtype)) return;
  const double least = dtype == DType::u8 ? 0 : std::numeric_limits<int32_t>::min();
  const double most = dtype == DType::u8 ? 255 : std::numeric_limits<int32_t>::max();
  HRM_CHECK(std::trunc(value) == value && value >= least && value <= most, "[", op,
            "] a tensor of ", dtype, " takes whole numbers from ", static_cast<int64_t>(least),
            " to ", static_cast<int64_t>(most), ", got ", value, ". HINT: to(DType::f32) first");
}

namespace {
// An Error if this machine has no addresses for so many.
size_t bytes_of(const Shape& shape, DType dtype) {
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<ptrdiff_t>::max());
  HRM_CHECK(static_cast<uint64_t>(shape.numel()) <= kMost / size_of(dtype),
            "[allocate] out of memory: asked for ", shape.numel(), " elements");
  return static_cast<size_t>(shape.numel()) * size_of(dtype);
}
}  // namespace

Tensor::Tensor(const Shape& shape, DType dtype, Device device)
    : Tensor(Storage(bytes_of(shape, dtype), device), 0, shape, shape.contiguous_strides(), dtype) {
}

Tensor::Tensor(Storage storage, int64_t offset, const Shape& shape, const Shape& strides,
               DType dtype)
    : impl_(std::make_shared<Impl>()) {
  impl_->storage = std::move(storage);
  impl_->offset = offset;
  impl_->shape = shape;
  impl_->strides = strides;
  impl_->dtype = dtype;
  impl_->numel = shape.numel();
  const Shape dense = shape.contiguous_strides();
  for (int i = 0; i < shape.ndim(); ++i)
    impl_->contiguous &= shape[i] <= 1 || strides[i] == dense[i];
}

double Tensor::item() const {
  HRM_CHECK(numel() == 1, "[item] tensor must have one element, got shape ", shape());
  return to_vector()[0];
}

std::vector<double> Tensor::to_vector() const {
  const Tensor host = detach().to(Device::cpu).to(DType::f64).contiguous();
  const double* values = host.data<double>();
  return {values, values + host.numel()};
}

Tensor Tensor::view(const Shape& wanted) const {
  HRM_CHECK(is_contiguous(), "[view] tensor must be contiguous, got shape ", shape(),
            " with strides ", strides(), ". HINT: call contiguous() first");
  HRM_CHECK(std::count(wanted.begin(), wanted.end(), -1) <= 1,
            "[reshape] only one dimension may be -1, got ", wanted);
  Shape result = wanted;
  const auto* unknown = std::find(wanted.begin(), wanted.end(), -1);
  if (unknown != wanted.end()) {
    const auto dim = static_cast<int>(unknown - wanted.begin());
    result[dim] = 1;
    const int64_t known = result.numel();
    result[dim] = known > 0 ? numel() / known : 0;
  }
  HRM_CHECK(result.numel() == numel(), "[reshape] number of elements must stay ", numel(),
            " (shape ", shape(), "), got shape ", wanted);
  return recorded("reshape",
                  Tensor(storage(), offset(), result, result.contiguous_strides(), dtype()),
                  [from = shape()](const Tensor& dy) { return dy.dense().view(from); });
}

Tensor Tensor::transpose(int a, int b) const {
  a = wrap_dim(a, ndim(), "transpose");
  b = wrap_dim(b, ndim(), "transpose");
  Shape s = shape(), t = strides();
  std::swap(s[a], s[b]);
  std::swap(t[a], t[b]);
  return recorded("transpose", Tensor(storage(), offset(), s, t, dtype()),
                  [a, b](const Tensor& dy) { return dy.transpose(a, b); });
}

Tensor Tensor::T() const {
  HRM_CHECK(ndim() >= 2, "[T] needs two dimensions, got shape ", shape());
  return transpose(-1, -2);
}

Tensor Tensor::slice(int dim, int64_t start, int64_t end, int64_t step) const {
  dim = wrap_dim(dim, ndim(), "slice");
  HRM_CHECK(0 <= start && start <= end && end <= shape()[dim], "[slice] range must lie in 0..",
            shape()[dim], " of dimension ", dim, " of ", shape(), ", got ", start, "..", end);
  HRM_CHECK(step >= 1, "[slice] the step must be 1 or more, got ", step);
  step = std::min(step, std::max<int64_t>(1, end - start));  // a longer one takes as much
  const Tensor part(storage(), offset() + start * strides()[dim],
                    shape().with(dim, (end - start + step - 1) / step),
                    strides().with(dim, strides()[dim] * step), dtype());
  return recorded("slice", part, [from = shape(), dim, start, end, step](const Tensor& dy) {
    const Tensor dx = zeros(from, dy.dtype(), dy.device());
    dx.slice(dim, start, end, step).copy_from(dy);
    return dx;
  });
}

Tensor Tensor::select(int dim, int64_t position) const {
  dim = wrap_dim(dim, ndim(), "select");
  const int64_t size = shape()[dim], at = position < 0 ? position + size : position;
  HRM_CHECK(0 <= at && at < size, "[select] position ", position, " is outside of dimension ", dim,
            " of ", shape());
  const Tensor part(storage(), offset() + at * strides()[dim], shape().without(dim),
                    strides().without(dim), dtype());
  return recorded("select", part, [from = shape(), dim, at](const Tensor& dy) {
    const Tensor dx = zeros(from, dy.dtype(), dy.device());
    dx.select(dim, at).copy_from(dy);
    return dx;
  });
}

Tensor Tensor::operator[](int64_t position) const { return select(0, position); }

Tensor Tensor::operator[](const Slice& range) const { return index({range}); }

Tensor Tensor::index(const std::vector<Index>& of_each) const {
  HRM_CHECK(std::ssize(of_each) <= ndim(), "[index] ", of_each.size(),
            " positions and ranges are more than the dimensions of ", shape());
  Tensor result = *this;
  int dim = 0;
  for (const Index& index : of_each) {
    if (const auto* position = std::get_if<int64_t>(&index)) {
      result = result.select(dim, *position);
      continue;
    }
    const Slice& range = std::get<Slice>(index);
    const int64_t size = result.size(dim);
    const auto within = [size](int64_t i) {
      return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size);
    };
    const int64_t start = within(range.start), end = within(range.end.value_or(size));
    result = result.slice(dim++, start, std::max(start, end), range.step);
  }
  return result;
}

Tensor Tensor::expand(const Shape& wanted) const {
  HRM_CHECK(broadcast_shapes(shape(), wanted, "expand") == wanted, "[expand] ", shape(),
            " does not broadcast to ", wanted);
  const Layout layout = layout_of(wanted, {this});
  const Shape strides(std::span<const int64_t>(layout.strides[0], wanted.ndim()));
  return recorded("expand", Tensor(storage(), offset(), wanted, strides, dtype()),
                  [from = shape()](const Tensor& dy) { return dy.sum_to(from); });
}

// A fresh, contiguous copy, never recorded.
Tensor Tensor::copied() const {
  Tensor copy(shape(), dtype(), device());
  HRM_DISPATCH(copy_strided, context(), dtype(), copy.data(), data(),
               layout_of(shape(), {&copy, this}));
  return copy;
}

Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }

Tensor Tensor::clone() const {
  return recorded("clone", copied(), [](const Tensor& dy) { return dy; });
}

Tensor Tensor::to(DType wanted) const {
  if (wanted == dtype()) return *this;
  const Tensor source = dense();
  Tensor copy(shape(), wanted, device());
  HRM_DISPATCH(cast, context(), wanted, copy.data(), dtype(), source.data(), numel());
  if (!is_floating(wanted)) return copy;
  return recorded("cast", copy, [from = dtype()](const Tensor& dy) { return dy.to(from); });
}

Tensor Tensor::to(Device wanted) const {
  if (wanted == device()) return *this;
  runtime::require_backend(wanted == Device::cpu ? device() : wanted, "to");
  const Tensor source = dense();
  Tensor copy(shape(), dtype(), wanted);
  runtime::copy(copy.data(), wanted, source.data(), device(), nbytes());
  return recorded("to", copy, [from = device()](const Tensor& dy) { return dy.to(from); });
}

Tensor Tensor::sum(int dim, bool keepdim) const {
  dim = wrap_dim(dim, ndim(), "sum");
  if (dtype() == DType::u8) return to(DType::i32).sum(dim, keepdim);
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < dim; ++i) outer *= shape()[i];
  for (int i = dim + 1; i < ndim(); ++i) inner *= shape()[i];
  const Tensor x = dense();
  const Tensor y(keepdim ? shape().with(dim, 1) : shape().without(dim), dtype(), device());
  HRM_DISPATCH(sum, context(), dtype(), y.data(), x.data(), outer, shape()[dim], inner);
  return recorded("sum", y, [from = shape(), dim](const Tensor& dy) {
    return dy.dense().view(from.with(dim, 1)).expand(from);
  });
}

Tensor Tensor::sum_to(const Shape& wanted) const {
  if (shape() == wanted) return *this;
  HRM_CHECK(broadcast_shapes(shape(), wanted, "sum") == shape(), "[sum] ", wanted,
            " does not broadcast to ", shape());
  Tensor result = contiguous();
  while (result.ndim() > wanted.ndim()) result = result.sum(0, false);
  for (int i = 0; i < wanted.ndim(); ++i)
    if (wanted[i] == 1 && result.shape()[i] != 1) result = result.sum(i, true);
  return result;
}

void Tensor::check_in_place(const char* op) const {
  HRM_CHECK(
      !recording() || autograd()->is_leaf, "[", op,
      "] would change a tensor that was recorded, and so make its gradient wrong. HINT: write to "
      "a detach().clone()");
}

void Tensor::copy_from(const Tensor& source) {
  HRM_CHECK(source.shape() == shape(), "[copy_from] shapes must be equal, got ", shape(), " and ",
            source.shape());
  check_in_place("copy_from");
  for (int i = 0; i < ndim(); ++i)
    HRM_CHECK(shape()[i] <= 1 || strides()[i] != 0, "[copy_from] dimension ", i, " of ", shape(),
              " was expanded: its elements are one and the same. HINT: write to a clone()");
  HRM_CHECK(!source.recording(),
            "[copy_from] would cut the gradient of its source. HINT: put the result together with "
            "concat(), pad() or where(), or copy from source.detach()");
  const Tensor converted = source.to(dtype()).to(device());
  HRM_DISPATCH(copy_strided, context(), dtype(), data(), converted.data(),
               layout_of(shape(), {this, &converted}));
  storage().bump_version();
}

void Tensor::fill(double value) {
  check_in_place("fill");
  check_number("fill", dtype(), value);
  if (!is_contiguous()) return copy_from(full({}, value, dtype(), device()).expand(shape()));
  HRM_DISPATCH(fill, context(), dtype(), data(), numel(), value);
  storage().bump_version();
}

Tensor Tensor::detach() const {
  return defined() ? Tensor(storage(), offset(), shape(), strides(), dtype()) : Tensor();
}

bool Tensor::requires_grad() const {
  return defined() && impl_->autograd && impl_->autograd->requires_grad;
}

Tensor& Tensor::set_requires_grad(bool value) {
  HRM_CHECK(!value || is_floating(dtype()),
            "[requires_grad] only floating tensors have gradients, got ", dtype());
  HRM_CHECK(
      value || !requires_grad() || autograd()->is_leaf,
      "[requires_grad] a recorded operation made this tensor: without its gradient, those of the "
      "inputs would be cut. HINT: detach() gives the same data without a history");
  if (!autograd()) autograd() = std::make_shared<AutogradState>();
  autograd()->requires_grad = value;
  return *this;
}

Tensor Tensor::grad() const { return autograd() ? autograd()->grad : Tensor(); }

void Tensor::set_grad(const Tensor& grad) const {
  if (!autograd()) autograd() = std::make_shared<AutogradState>();
  autograd()->grad = grad;
}

Tensor empty(const Shape& shape, DType dtype, Device device) {
  return Tensor(shape, dtype, device);
}
Tensor full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t(shape, dtype, device);
  t.fill(value);
  return t;
}
Tensor zeros(const Shape& shape, DType dtype, Device device) {
  return full(shape, 0, dtype, device);
}
Tensor ones(const Shape& shape, DType dtype, Device device) {
  return full(shape, 1, dtype, device);
}
Tensor empty_like(const Tensor& t) { return Tensor(t.shape(), t.dtype(), t.device()); }
Tensor zeros_like(const Tensor& t) { return zeros(t.shape(), t.dtype(), t.device()); }

template <class T>
Tensor from_vector(const std::vector<T>& values, const Shape& shape) {
  HRM_CHECK(static_cast<int64_t>(values.size()) == shape.numel(), "[from_vector] shape ", shape,
            " needs ", shape.numel(), " values, got ", values.size());
  Tensor t(shape, dtype_of<T>);
  if (!values.empty()) std::memcpy(t.data(), values.data(), t.nbytes());
  return t;
}
template Tensor from_vector(const std::vector<float>&, const Shape&);
template Tensor from_vector(const std::vector<bfloat16>&, const Shape&);
template Tensor from_vector(const std::vector<double>&, const Shape&);
template Tensor from_vector(const std::vector<int32_t>&, const Shape&);
template Tensor from_vector(const std::vector<uint8_t>&, const Shape&);

Tensor from_values(const std::vector<double>& values, const Shape& shape, DType dtype) {
  return from_vector(values, shape).to(dtype);
}

NestedValues::NestedValues(std::initializer_list<NestedValues> parts)
    : sizes_{static_cast<int64_t>(parts.size())} {
  if (parts.size() == 0) return;
  const std::vector<int64_t>& inner = parts.begin()->sizes_;
  sizes_.insert(sizes_.end(), inner.begin(), inner.end());
  for (const NestedValues& part : parts) {
    HRM_CHECK(part.sizes_ == inner, "[tensor] the parts of a list must have one shape, got ",
              Shape(inner), " and ", Shape(part.sizes_));
    values_.insert(values_.end(), part.values_.begin(), part.values_.end());
  }
}

Tensor tensor(const NestedValues& values, DType dtype, Device device) {
  for (const double value : values.values()) check_number("tensor", dtype, value);
  return from_values(values.values(), Shape(values.sizes()), dtype).to(device);
}

Tensor arange(int64_t n, DType dtype) {
  HRM_CHECK(n >= 0, "[arange] the number of elements must be 0 or more, got ", n);
  return detail::arange(0, n, 1, dtype);
}

Tensor detail::arange(int64_t start, int64_t end, int64_t step, DType dtype) {
  HRM_CHECK(step != 0, "[arange] the step must not be 0");
  constexpr int64_t kFar = int64_t{1} << 53;  // where a double no longer counts
  HRM_CHECK(std::max(start, end) <= kFar && std::min(start, end) >= -kFar && std::abs(step) <= kFar,
            "[arange] start, end and step must be within 2^53, got ", start, ", ", end, " and ",
            step);
  const int64_t n = std::max<int64_t>(0, (end - start + step - (step > 0 ? 1 : -1)) / step);
  std::vector<double> values(n);
  for (int64_t i = 0; i < n; ++i) values[i] = static_cast<double>(start + i * step);
  return from_values(values, {n}, dtype);
}

Tensor linspace(double first, double last, int64_t n, DType dtype) {
  HRM_CHECK(n >= 0, "[linspace] the number of elements must be 0 or more, got ", n);
  std::vector<double> values(n, first);
  // Each half from its own end, so that both ends are exact.
  const double step = n > 1 ? (last - first) / static_cast<double>(n - 1) : 0;
  for (int64_t i = 0; i < n; ++i)
    values[i] = i < n / 2 || n == 1 ? first + step * static_cast<double>(i)
                                    : last - step * static_cast<double>(n - 1 - i);
  return from_values(values, {n}, dtype);
}

Tensor eye(int64_t n, DType dtype) {
  HRM_CHECK(n >= 0, "[eye] the number of rows must be 0 or more, got ", n);
  Tensor t = zeros({n, n}, dtype);
  Tensor(t.storage(), 0, {n}, {n + 1}, dtype).copy_from(ones({n}, dtype));
  return t;
}

void check_same_device(const char* op, std::initializer_list<const Tensor*> tensors) {
  const Tensor* first = nullptr;
  for (const Tensor* t : tensors) {
    if (!t->defined()) continue;
    if (!first) first = t;
    HRM_CHECK(t->device() == first->device(), "[", op, "] operands must be on one device, got ",
              first->device(), first->shape(), " and ", t->device(), t->shape(),
              ". HINT: move one with to(Device)");
  }
}

Layout layout_of(const Shape& shape, std::initializer_list<const Tensor*> operands) {
  Layout layout;
  layout.ndim = shape.ndim();
  std::copy(shape.begin(), shape.end(), layout.shape);
  int k = 0;
  for (const Tensor* t : operands) {
    for (int i = 1; i <= t->ndim(); ++i)
      layout.strides[k][shape.ndim() - i] = t->shape()[-i] == 1 ? 0 : t->strides()[-i];
    ++k;
  }
  return layout;
}

}  // namespace hrm

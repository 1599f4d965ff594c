#include "tensor/tensor.h"

#include <cstring>

#include "kernels/cast.h"
#include "kernels/cuda/runtime.h"

namespace hrm {

Tensor::Tensor(const Shape& shape, DType dtype, Device device)
    : Tensor(Storage(static_cast<size_t>(shape.numel()) * size_of(dtype), device), 0, shape,
             shape.contiguous_strides(), dtype) {}

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
  CHECK(numel() == 1, "[item] tensor must have one element, got shape ", shape());
  return to_vector()[0];
}

std::vector<double> Tensor::to_vector() const {
  const Tensor host = to(Device::cpu).to(DType::f64).contiguous();
  const double* values = host.data<double>();
  return {values, values + host.numel()};
}

Tensor Tensor::view(const Shape& wanted) const {
  CHECK(is_contiguous(), "[view] tensor must be contiguous, got shape ", shape(), " with strides ",
        strides(), ". HINT: call contiguous() first");
  Shape result = wanted;
  int64_t known = 1;
  int unknown = -1;
  for (int i = 0; i < wanted.ndim(); ++i) {
    if (wanted[i] == -1 && unknown < 0)
      unknown = i;
    else
      known *= wanted[i];
  }
  if (unknown >= 0) result[unknown] = known > 0 ? numel() / known : 0;
  CHECK(result.numel() == numel(), "[reshape] number of elements must stay ", numel(), " (shape ",
        shape(), "), got shape ", wanted);
  return Tensor(storage(), offset(), result, result.contiguous_strides(), dtype());
}

Tensor Tensor::transposed(int a, int b) const {
  a = wrap_dim(a, ndim(), "transpose"), b = wrap_dim(b, ndim(), "transpose");
  Shape s = shape(), t = strides();
  std::swap(s[a], s[b]), std::swap(t[a], t[b]);
  return Tensor(storage(), offset(), s, t, dtype());
}

Tensor Tensor::sliced(int dim, int64_t start, int64_t end) const {
  dim = wrap_dim(dim, ndim(), "slice");
  CHECK(0 <= start && start <= end && end <= shape()[dim], "[slice] range must lie in 0..",
        shape()[dim], " of dimension ", dim, " of ", shape(), ", got ", start, "..", end);
  return Tensor(storage(), offset() + start * strides()[dim], shape().with(dim, end - start),
                strides(), dtype());
}

Tensor Tensor::expanded(const Shape& wanted) const {
  CHECK(broadcast_shapes(shape(), wanted, "expand") == wanted, "[expand] ", shape(),
        " does not broadcast to ", wanted);
  const Layout layout = layout_of(wanted, {this});
  return Tensor(storage(), offset(), wanted,
                Shape(std::span<const int64_t>(layout.strides[0], wanted.ndim())), dtype());
}

Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }

Tensor Tensor::clone() const {
  Tensor copy(shape(), dtype(), device());
  HRM_DISPATCH(copy_strided, context(), dtype(), copy.data(), data(),
               layout_of(shape(), {&copy, this}));
  return copy;
}

Tensor Tensor::to(DType wanted) const {
  if (wanted == dtype()) return *this;
  const Tensor source = contiguous();
  Tensor copy(shape(), wanted, device());
  HRM_DISPATCH(cast, context(), wanted, copy.data(), dtype(), source.data(), numel());
  return copy;
}

Tensor Tensor::to(Device wanted) const {
  if (wanted == device()) return *this;
  if constexpr (!kBuiltWithCuda) no_cuda_backend("to");
  const Tensor source = contiguous();
  Tensor copy(shape(), dtype(), wanted);
  if constexpr (kBuiltWithCuda)
    cuda::copy(copy.data(), source.data(), nbytes(),
               wanted == Device::cuda ? cuda::Copy::to_device : cuda::Copy::to_host, {});
  return copy;
}

void Tensor::copy_from(const Tensor& source) {
  CHECK(source.shape() == shape(), "[copy_from] shapes must be equal, got ", shape(), " and ",
        source.shape());
  const Tensor converted = source.to(dtype()).to(device());
  HRM_DISPATCH(copy_strided, context(), dtype(), data(), converted.data(),
               layout_of(shape(), {this, &converted}));
  storage().bump_version();
}

void Tensor::fill(double value) {
  CHECK(is_contiguous(), "[fill] tensor must be contiguous, got strides ", strides());
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
  CHECK(!value || is_floating(dtype()),
        "[requires_grad] only floating tensors have gradients, got ", dtype());
  if (!impl_->autograd) impl_->autograd = std::make_shared<AutogradState>();
  impl_->autograd->requires_grad = value;
  return *this;
}

Tensor Tensor::grad() const { return impl_->autograd ? impl_->autograd->grad : Tensor(); }

void Tensor::set_grad(const Tensor& grad) const {
  if (!impl_->autograd) impl_->autograd = std::make_shared<AutogradState>();
  impl_->autograd->grad = grad;
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
  CHECK(static_cast<int64_t>(values.size()) == shape.numel(), "[from_vector] shape ", shape,
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

Tensor arange(int64_t n, DType dtype) {
  std::vector<double> values(n);
  for (int64_t i = 0; i < n; ++i) values[i] = static_cast<double>(i);
  return from_values(values, {n}, dtype);
}

void check_same_device(const char* op, std::initializer_list<const Tensor*> tensors) {
  const Tensor* first = nullptr;
  for (const Tensor* t : tensors) {
    if (!t->defined()) continue;
    if (!first) first = t;
    CHECK(t->device() == first->device(), "[", op, "] operands must be on one device, got ",
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

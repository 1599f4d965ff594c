// Tensor: a cheap handle to (storage, offset, shape, strides, dtype, device), in PyTorch's
// dimension order and names. Views and copies made here are differentiable like the operations of
// autograd/ops: where a gradient is wanted, autograd records them. A Tensor carries its autograd
// state as an opaque pointer, so there is one tensor type in the whole program.
//
//     const Tensor x = from_vector<float>({1, 2, 3, 4, 5, 6}, {2, 3});
//     const Tensor column = x.sliced(1, 0, 1);   // a view of it, [2, 1]
//     column.to_vector();                        // 1, 4
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensor/shape.h"
#include "tensor/storage.h"

namespace hrm {

class Node;            // autograd/node.h
struct AutogradState;  // below: what autograd hangs on a tensor

class Tensor {
 public:
  Tensor() = default;  // undefined: defined() is false
  // Uninitialised memory.
  Tensor(const Shape& shape, DType dtype, Device device = Device::cpu);
  Tensor(Storage storage, int64_t offset, const Shape& shape, const Shape& strides, DType dtype);

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }
  const Shape& shape() const { return impl().shape; }
  const Shape& strides() const { return impl().strides; }
  int64_t size(int dim) const { return impl().shape[wrap_dim(dim, ndim(), "size")]; }
  int ndim() const { return impl().shape.ndim(); }
  int64_t numel() const { return impl().numel; }
  size_t nbytes() const { return static_cast<size_t>(numel()) * size_of(dtype()); }
  DType dtype() const { return impl().dtype; }
  Device device() const { return impl().storage.device(); }
  Context context() const { return {device(), nullptr}; }
  const Storage& storage() const { return impl().storage; }
  int64_t offset() const { return impl().offset; }
  bool is_contiguous() const { return impl().contiguous; }

  // First element. The typed form checks the dtype.
  void* data() const {
    return static_cast<std::byte*>(storage().data()) + offset() * size_of(dtype());
  }
  template <class T>
  T* data() const {
    HRM_CHECK(dtype_of<T> == dtype(), "[data] tensor holds ", dtype(), ", asked for ", dtype_of<T>);
    return static_cast<T*>(data());
  }
  // The value of a one-element tensor. A host read: never inside a training step.
  double item() const;
  // All elements as doubles, row-major, on the host (tests, printing).
  std::vector<double> to_vector() const;

  // Views of the same storage. They are recorded where a gradient is wanted, as the copies are.
  Tensor view(const Shape& shape) const;  // contiguous only; one dimension may be -1
  Tensor transposed(int a, int b) const;
  Tensor sliced(int dim, int64_t start, int64_t end) const;
  Tensor expanded(const Shape& shape) const;  // broadcast by stride 0
  // Copies. One of integers has no gradient.
  Tensor contiguous() const;  // itself if it already is
  Tensor clone() const;       // always fresh and contiguous
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;
  // Sums: over one dimension; and over all along which `shape` would have to be repeated to give
  // this one (what expanded() does to a tensor, it undoes to its gradient).
  Tensor summed(int dim, bool keepdim) const;
  Tensor summed_to(const Shape& shape) const;
  // In-place writes; they bump the storage version. While autograd records, neither a tensor that
  // it has seen being made can be written to, nor one that requires a gradient be the source.
  void copy_from(const Tensor& source);  // same shape; converts dtype and device
  void fill(double value);
  void zero() { fill(0); }
  void check_in_place(const char* op) const;  // throws if this tensor must not be written to

  // The same data without its history.
  Tensor detach() const;
  // Leaf flag and accumulated gradient (autograd/grad_mode.h explains when operations record). The
  // flag of a tensor that a recorded operation made stays: see detach().
  bool requires_grad() const;
  Tensor& set_requires_grad(bool value = true);
  Tensor grad() const;  // undefined if there is none
  void set_grad(const Tensor& grad) const;

  std::shared_ptr<AutogradState>& autograd() const { return impl().autograd; }
  bool same_as(const Tensor& other) const { return impl_ == other.impl_; }
  // True if no other tensor or view can see a write to this one.
  bool is_unique() const { return impl_.use_count() == 1 && impl_->storage.is_unique(); }

 private:
  struct Impl {
    Storage storage;
    int64_t offset = 0;  // in elements
    Shape shape, strides;
    DType dtype = DType::f32;
    int64_t numel = 0;
    bool contiguous = true;
    std::shared_ptr<AutogradState> autograd;
  };
  Impl& impl() const {
    HRM_CHECK(
        impl_,
        "[tensor] a tensor was used before it had a value (it is undefined). HINT: make it with "
        "zeros(), from_vector() or an operation first, or ask defined()");
    return *impl_;
  }
  bool recording() const;
  template <class Adjoint>
  Tensor recorded(const char* name, const Tensor& result, const Adjoint& adjoint) const;
  Tensor copied() const;
  Tensor dense() const { return is_contiguous() ? *this : copied(); }

  std::shared_ptr<Impl> impl_;
};

// A tensor's place in the graph. `node` is where its gradient flows: the operation that made it,
// or, for a leaf, the node that accumulates into `grad`; null if nothing was recorded.
struct AutogradState {
  bool requires_grad = false;
  bool is_leaf = true;  // false: an operation made it
  Tensor grad;
  std::shared_ptr<Node> node;
  int output_index = 0;  // which output of `node` this tensor is
};

// How autograd, a layer above, takes part in what the members do; autograd/node.cpp sets it when a
// program starts. Without autograd nothing is recorded.
struct AutogradHooks {
  bool (*enabled)() = nullptr;
  // Records that `result` was made of `input`. `adjoint` turns the gradient of the one into that of
  // the other.
  void (*record)(const char* name, const Tensor& result, const Tensor& input,
                 std::function<Tensor(const Tensor& grad)> adjoint) = nullptr;
};
AutogradHooks& autograd_hooks();

// Factories. An Error if the shape has a negative size or more elements than can be counted.
Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
Tensor ones(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
Tensor full(const Shape& shape, double value, DType dtype = DType::f32,
            Device device = Device::cpu);
Tensor empty_like(const Tensor& t);
Tensor zeros_like(const Tensor& t);
// From host values, row-major; the dtype is that of T unless given.
template <class T>
Tensor from_vector(const std::vector<T>& values, const Shape& shape);
Tensor from_values(const std::vector<double>& values, const Shape& shape, DType dtype = DType::f32);
Tensor arange(int64_t n, DType dtype = DType::i32);

// Throws unless all defined tensors are on one device.
void check_same_device(const char* op, std::initializer_list<const Tensor*> tensors);

// The Layout of an elementwise kernel: `shape` and the operands' strides after broadcasting.
Layout layout_of(const Shape& shape, std::initializer_list<const Tensor*> operands);

// "f32(2, 3) [[0.1, ...], ...]", shortened after a few hundred elements.
std::string to_string(const Tensor& t);
std::ostream& operator<<(std::ostream& out, const Tensor& t);

}  // namespace hrm

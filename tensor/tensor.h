// Tensor: a cheap handle to (storage, offset, shape, strides, dtype, device), in PyTorch's
// dimension order and names. Views and copies made here are differentiable like the operations of
// autograd/ops: where a gradient is wanted, autograd records them. A Tensor carries its autograd
// state as an opaque pointer, so there is one tensor type in the whole program.
//
//     Tensor x = tensor({{1, 2, 3}, {4, 5, 6}}).set_requires_grad();
//     x[0];                                   // a view of the first row: 1, 2, 3
//     x.index({Slice(), Slice(1)});           // columns from 1 on: 2 3, 5 6
//     (x * x).sum().backward();
//     x.grad();                               // 2 x
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tensor/shape.h"
#include "tensor/storage.h"

namespace hrm {

class Node;            // autograd/node.h
struct AutogradState;  // below: what autograd hangs on a tensor

// A range of positions, as Python writes start:end:step. Negative positions count from the end,
// what lies beyond it is cut off, and without an end the range goes to the last one. step >= 1.
struct Slice {
  explicit Slice(int64_t first = 0, std::optional<int64_t> behind = {}, int64_t every = 1)
      : start(first), end(behind), step(every) {}
  int64_t start;
  std::optional<int64_t> end;
  int64_t step;
};
// What Tensor::index takes for a dimension: one position, and the dimension disappears, or a range.
using Index = std::variant<int64_t, Slice>;

class Tensor {
 public:
  Tensor() = default;  // undefined: defined() is false
  Tensor(const Tensor&) = default;
  Tensor(Tensor&&) = default;
  // x = y makes x another name of the tensor y.
  Tensor& operator=(const Tensor&) & = default;
  Tensor& operator=(Tensor&&) & = default;
  // A view that has no name is written to, as copy_from and fill do: x[0] = y, x[1] = 3.
  void operator=(const Tensor& values) &&;
  void operator=(double value) &&;
  // Uninitialised memory.
  Tensor(const Shape& shape, DType dtype, Device device = Device::cpu);
  Tensor(Storage storage, int64_t offset, const Shape& shape, const Shape& strides, DType dtype);

  bool defined() const { return impl_ != nullptr; }
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
  Tensor transpose(int a, int b) const;   // swaps two dimensions
  Tensor T() const;                       // swaps the last two
  Tensor slice(int dim, int64_t start, int64_t end, int64_t step = 1) const;  // within 0..size
  Tensor select(int dim, int64_t position) const;  // one position; the dimension disappears
  Tensor expand(const Shape& shape) const;         // broadcast by stride 0
  // x[i] and x[Slice(...)] of the first dimension; index({...}) of the first few, one by one.
  Tensor operator[](int64_t position) const;
  Tensor operator[](const Slice& range) const;
  Tensor index(const std::vector<Index>& of_each) const;
  // Copies. One of integers has no gradient.
  Tensor contiguous() const;  // itself if it already is
  Tensor clone() const;       // always fresh and contiguous
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;
  // Sums: over one dimension; and over all along which `shape` would have to be repeated to give
  // this one (what expand() does to a tensor, it undoes to its gradient).
  Tensor sum(int dim, bool keepdim = false) const;
  Tensor sum_to(const Shape& shape) const;
  // In-place writes; they bump the storage version. A tensor that expand() has made cannot be
  // written to, since several of its elements are one. While autograd records, neither a tensor
  // that it has seen being made can be written to, nor one that requires a gradient be the source.
  void copy_from(const Tensor& source);  // same shape; converts dtype and device
  void fill(double value);
  void zero() { fill(0); }
  void check_in_place(const char* op) const;  // throws if this tensor must not be written to

  // Operations of autograd/ops, which describes them, for those who like to write x.exp().sum().
  Tensor sum() const;
  Tensor mean() const;
  Tensor mean(int dim, bool keepdim = false) const;
  Tensor var() const;
  Tensor var(int dim, bool keepdim = false) const;
  Tensor max() const;
  Tensor max(int dim, bool keepdim = false) const;
  Tensor min() const;
  Tensor min(int dim, bool keepdim = false) const;
  Tensor argmax(int dim) const;
  Tensor cumsum(int dim) const;
  Tensor softmax(int dim) const;
  Tensor log_softmax(int dim) const;
  Tensor matmul(const Tensor& other) const;
  Tensor reshape(const Shape& shape) const;
  Tensor flatten(int from = 0) const;
  Tensor permute(const std::vector<int>& order) const;
  Tensor unsqueeze(int dim) const;
  Tensor squeeze() const;
  Tensor squeeze(int dim) const;
  Tensor exp() const;
  Tensor log() const;
  Tensor sqrt() const;
  Tensor square() const;
  Tensor pow(double exponent) const;
  Tensor abs() const;
  Tensor sin() const;
  Tensor cos() const;
  Tensor tanh() const;
  Tensor sigmoid() const;
  Tensor relu() const;
  Tensor gelu() const;
  Tensor silu() const;
  Tensor clamp(double low, double high) const;
  // Gradients of this one-element tensor, added to grad() of every leaf (autograd/engine.h).
  void backward() const;

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
// Numbers and lists of lists of numbers, as tensor({{1, 2}, {3, 4}}) writes them.
class NestedValues {
 public:
  template <class Number>
  requires std::integral<Number> || std::floating_point<Number> NestedValues(Number number)
      : values_{static_cast<double>(number)} {}
  NestedValues(std::initializer_list<NestedValues> parts);  // all of one shape
  const std::vector<double>& values() const { return values_; }
  const std::vector<int64_t>& sizes() const { return sizes_; }

 private:
  std::vector<double> values_;
  std::vector<int64_t> sizes_;
};
Tensor tensor(const NestedValues& values, DType dtype = DType::f32, Device device = Device::cpu);
// 0, 1, ..., n - 1.
Tensor arange(int64_t n, DType dtype = DType::i32);
// From `start` to before `end`. Whole numbers; linspace() gives others.
template <std::integral Start, std::integral End, std::integral Step = int64_t>
Tensor arange(Start start, End end, Step step = 1, DType dtype = DType::i32);
// n numbers at equal distances, the first and the last as given.
Tensor linspace(double first, double last, int64_t n, DType dtype = DType::f32);
// The identity matrix, [n, n].
Tensor eye(int64_t n, DType dtype = DType::f32);

namespace detail {
Tensor arange(int64_t start, int64_t end, int64_t step, DType dtype);
}
template <std::integral Start, std::integral End, std::integral Step>
Tensor arange(Start start, End end, Step step, DType dtype) {
  return detail::arange(static_cast<int64_t>(start), static_cast<int64_t>(end),
                        static_cast<int64_t>(step), dtype);
}

// An Error that begins with "[op]" unless a tensor of this type can hold the number: integers take
// whole numbers in their range.
void check_number(const char* op, DType dtype, double value);

// Throws unless all defined tensors are on one device.
void check_same_device(const char* op, std::initializer_list<const Tensor*> tensors);

// The Layout of an elementwise kernel: `shape` and the operands' strides after broadcasting.
Layout layout_of(const Shape& shape, std::initializer_list<const Tensor*> operands);

// "f32(2, 3) [[0.1, ...], ...]", shortened after a few hundred elements.
std::string to_string(const Tensor& t);
std::ostream& operator<<(std::ostream& out, const Tensor& t);

}  // namespace hrm

// Shapes and strides: a short inline array of up to kMaxDims int64, printed as (2, 17, 32).
//
//     const Shape shape = {2, 17, 32};
//     shape.numel();                          // 1088
//     broadcast_shapes({2, 1}, {3}, "add");   // (2, 3)
#pragma once

#include <algorithm>
#include <initializer_list>
#include <ostream>
#include <span>
#include <vector>

#include "kernels/elementwise.h"  // kMaxDims, Layout

namespace hrm {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims)) {}
  explicit Shape(std::span<const int64_t> dims);

  int ndim() const { return ndim_; }
  // Size of dimension i; negative i counts from the end.
  int64_t operator[](int i) const { return dims_[i < 0 ? i + ndim_ : i]; }
  int64_t& operator[](int i) { return dims_[i < 0 ? i + ndim_ : i]; }
  const int64_t* begin() const { return dims_; }
  const int64_t* end() const { return dims_ + ndim_; }
  int64_t back() const { return dims_[ndim_ - 1]; }
  // Number of elements; 1 for ndim 0. An Error if a size is negative or there are more than an
  // int64 can count in bytes: every tensor asks this of its shape.
  int64_t numel() const;
  // Row-major strides of a contiguous tensor of this shape.
  Shape contiguous_strides() const;
  Shape with(int dim, int64_t size) const;  // a copy with one dimension changed
  Shape without(int dim) const;             // a copy with one dimension removed
  Shape inserted(int dim, int64_t size) const;
  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  int64_t dims_[kMaxDims] = {};
  int ndim_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);

// Normalises a possibly negative dimension; throws "[op] dimension out of range".
int wrap_dim(int dim, int ndim, const char* op);
// The common shape of two operands under NumPy's broadcasting rules, or an error that names both.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op);

}  // namespace hrm

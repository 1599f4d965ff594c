#include "tensor/shape.h"

#include <limits>

namespace hrm {

Shape::Shape(std::span<const int64_t> dims) : ndim_(static_cast<int>(dims.size())) {
  HRM_CHECK(dims.size() <= kMaxDims, "[shape] at most ", kMaxDims, " dimensions, got ",
            dims.size());
  std::copy(dims.begin(), dims.end(), dims_);
}

int64_t Shape::numel() const {
  // So many that their bytes and the strides can be counted too, also where a size is 0.
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 8;
  int64_t n = 1, without_zeros = 1;
  for (int64_t d : *this) {
    HRM_CHECK(d >= 0, "[shape] sizes must be 0 or more, got ", *this);
    HRM_CHECK(d <= kMost / without_zeros, "[shape] too many elements to count in ", *this);
    without_zeros *= std::max<int64_t>(d, 1);
    n *= d;
  }
  return n;
}

Shape Shape::contiguous_strides() const {
  Shape strides = *this;
  numel();  // refuses what cannot be counted
  int64_t step = 1;
  for (int i = ndim_ - 1; i >= 0; --i) {
    strides[i] = step;
    step *= dims_[i];
  }
  return strides;
}

Shape Shape::with(int dim, int64_t size) const {
  Shape copy = *this;
  copy[dim] = size;
  return copy;
}

Shape Shape::without(int dim) const {
  std::vector<int64_t> dims(begin(), end());
  dims.erase(dims.begin() + dim);
  return Shape(dims);
}

Shape Shape::inserted(int dim, int64_t size) const {
  std::vector<int64_t> dims(begin(), end());
  dims.insert(dims.begin() + dim, size);
  return Shape(dims);
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '(';
  for (int i = 0; i < shape.ndim(); ++i) out << (i ? ", " : "") << shape[i];
  return out << ')';
}

int wrap_dim(int dim, int ndim, const char* op) {
  HRM_CHECK(dim >= -ndim && dim < ndim, "[", op, "] dimension must be in ", -ndim, "..", ndim - 1,
            ", got ", dim);
  return dim < 0 ? dim + ndim : dim;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op) {
  const int ndim = std::max(a.ndim(), b.ndim());
  std::vector<int64_t> dims(ndim);
  for (int i = 1; i <= ndim; ++i) {
    const int64_t x = i <= a.ndim() ? a[-i] : 1, y = i <= b.ndim() ? b[-i] : 1;
    HRM_CHECK(x == y || x == 1 || y == 1, "[", op, "] shapes must broadcast, got ", a, " and ", b,
              ". HINT: sizes must be equal or 1, counted from the last dimension");
    dims[ndim - i] = x == 1 ? y : x;
  }
  return Shape(dims);
}

}  // namespace hrm

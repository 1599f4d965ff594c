#include <algorithm>
#include <vector>

#include "docs/course/1_broadcast_add/exercise.h"
#include "tests/course/mistake.h"

namespace hrm::course {
namespace {

// Size of the dimension that is `from_right` places from the end, 1 for the last; 1 if it is
// missing.
int64_t size_at(const Shape& shape, int from_right) {
  return from_right <= shape.ndim() ? shape[-from_right] : 1;
}

// Which element of a tensor of shape `from` is used at position i of the sum, of shape `to`.
int64_t used_at(const Shape& from, const Shape& to, int64_t i) {
  int64_t element = 0;
  int64_t stride = 1;
  for (int d = 1; d <= to.ndim(); ++d) {
    const int64_t coordinate = i % to[-d];
    i /= to[-d];
    if (size_at(from, d) > 1) element += coordinate * stride;
    stride *= size_at(from, d);
  }
  return element;
}

}  // namespace

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const int ndim = std::max(a.ndim(), b.ndim());
  std::vector<int64_t> sizes(ndim);
  for (int d = 1; d <= ndim; ++d) {
    int64_t x = size_at(a, d);
    int64_t y = size_at(b, d);
    if (mistake("flush_left")) {
      x = ndim - d < a.ndim() ? a[ndim - d] : 1;
      y = ndim - d < b.ndim() ? b[ndim - d] : 1;
    }
    const bool fits = x == y || x == 1 || y == 1;
    HRM_CHECK(fits || mistake("no_error"), "sizes ", x, " and ", y, " do not fit");
    sizes[ndim - d] = x == 1 ? y : x;
  }
  return Shape(sizes);
}

Tensor broadcast_add(const Tensor& a, const Tensor& b) {
  const Tensor y = empty(broadcast_shape(a.shape(), b.shape()), DType::f64);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<double>()[i] = a.data<double>()[used_at(a.shape(), y.shape(), i)] +
                          b.data<double>()[used_at(b.shape(), y.shape(), i)];
  return y;
}

Tensor broadcast_add_backward(const Tensor& dy, const Shape& shape) {
  if (mistake("shape_of_the_sum")) return dy;
  const Tensor da = zeros(shape, DType::f64);
  for (int64_t i = 0; i < dy.numel(); ++i) {
    double& sum = da.data<double>()[used_at(shape, dy.shape(), i)];
    sum = (mistake("last_instead_of_sum") ? 0 : sum) + dy.data<double>()[i];
  }
  return da;
}

}  // namespace hrm::course

// The library's own addition under the names of the exercise.
#include "autograd/ops/arithmetic.h"
#include "docs/course/1_broadcast_add/exercise.h"

namespace hrm::course {

Shape broadcast_shape(const Shape& a, const Shape& b) {
  return broadcast_shapes(a, b, "broadcast_shape");
}

Tensor broadcast_add(const Tensor& a, const Tensor& b) { return add(a, b); }

Tensor broadcast_add_backward(const Tensor& dy, const Shape& shape) { return dy.sum_to(shape); }

}  // namespace hrm::course

#include "docs/course/1_broadcast_add/exercise.h"

namespace hrm::course {

Shape broadcast_shape(const Shape& a, const Shape& b) {
  // Your code here.
  not_written_yet("broadcast_shape", a, b);
}

Tensor broadcast_add(const Tensor& a, const Tensor& b) {
  // Your code here.
  not_written_yet("broadcast_add", a, b);
}

Tensor broadcast_add_backward(const Tensor& dy, const Shape& shape) {
  // Your code here.
  not_written_yet("broadcast_add_backward", dy, shape);
}

}  // namespace hrm::course

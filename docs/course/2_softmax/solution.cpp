// The library's own kernels under the names of the exercise.
#include "docs/course/2_softmax/exercise.h"
#include "kernels/reduce.h"

namespace hrm::course {

Tensor softmax_forward(const Tensor& x) {
  Tensor y = empty_like(x);
  cpu::softmax(x.dtype(), y.data(), x.data(), x.size(0), x.size(1), false, x.context());
  return y;
}

Tensor softmax_backward(const Tensor& y, const Tensor& dy) {
  Tensor dx = empty_like(y);
  cpu::softmax_backward(y.dtype(), dx.data(), y.data(), dy.data(), y.size(0), y.size(1), false,
                        y.context());
  return dx;
}

}  // namespace hrm::course

// The library's own kernels under the names of the exercise.
#include "docs/course/3_rms_norm/exercise.h"
#include "kernels/rms_norm.h"

namespace hrm::course {

Normalized rms_norm_forward(const Tensor& x, double eps) {
  Normalized result{empty_like(x), empty({x.size(0)}, x.dtype())};
  cpu::rms_norm(x.dtype(), result.y.data(), result.rstd.data(), x.data(), nullptr, x.size(0),
                x.size(1), eps, x.context());
  return result;
}

Tensor rms_norm_backward(const Tensor& y, const Tensor& rstd, const Tensor& dy) {
  Tensor dx = empty_like(y);
  cpu::rms_norm_backward(y.dtype(), dx.data(), y.data(), rstd.data(), dy.data(), y.size(0),
                         y.size(1), y.context());
  return dx;
}

}  // namespace hrm::course

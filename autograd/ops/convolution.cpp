#include "autograd/ops/convolution.h"

#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "kernels/windows.h"

namespace hrm {
namespace {

Windows windows_over(const char* op, const Tensor& x, int64_t size, int64_t stride,
                     int64_t padding) {
  HRM_CHECK(x.ndim() == 4, "[", op, "] needs images [batch, channels, height, width], got shape ",
            x.shape());
  HRM_CHECK(size >= 1 && stride >= 1 && padding >= 0, "[", op,
            "] needs a size and a stride of 1 or more and a padding of 0 or more, got ", size, ", ",
            stride, " and ", padding);
  HRM_CHECK(size <= x.size(2) + 2 * padding && size <= x.size(3) + 2 * padding, "[", op,
            "] a window of ", size, " x ", size, " is larger than images of ", x.shape(),
            " with a padding of ", padding);
  return {x.size(0), x.size(1), x.size(2), x.size(3), size, stride, padding};
}

}  // namespace

Tensor im2col(const Tensor& input, int64_t size, int64_t stride, int64_t padding) {
  const Windows windows = windows_over("im2col", input, size, stride, padding);
  const Tensor x = dense(input);
  Tensor y = empty({windows.batch, windows.down(), windows.across(), windows.cols()}, x.dtype(),
                   x.device());
  HRM_DISPATCH(im2col, x.context(), x.dtype(), y.data(), x.data(), windows);
  return record("im2col", y, {input}, {},
                [windows, shape = x.shape()](const Saved&, const Tensor& grad) {
                  const Tensor dy = grad.contiguous();
                  Tensor dx = empty(shape, dy.dtype(), dy.device());
                  HRM_DISPATCH(col2im, dy.context(), dy.dtype(), dx.data(), dy.data(), windows);
                  return Tensors{dx};
                });
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride,
              int64_t padding, const Tensor& copy) {
  HRM_CHECK(x.ndim() == 4 && weight.ndim() == 4 && weight.size(1) == x.size(1) &&
                weight.size(2) == weight.size(3),
            "[conv2d] needs x [batch, in, height, width] and weight [out, in, size, size], got ",
            x.shape(), " and ", weight.shape());
  const Tensor windows = im2col(x, weight.size(2), stride, padding);
  const Shape matrix = {weight.size(0), windows.size(3)};
  const Tensor y = linear(windows, reshape(weight, matrix),
                          copy.defined() ? reshape(copy, matrix) : Tensor(), bias);
  return permute(y, {0, 3, 1, 2});
}

Tensor max_pool2d(const Tensor& x, int64_t size) {
  HRM_CHECK(x.ndim() == 4 && size >= 1 && x.size(2) % size == 0 && x.size(3) % size == 0,
            "[max_pool2d] height and width of images [batch, channels, height, width] must be "
            "multiples of ",
            size, ", got shape ", x.shape());
  const Tensor squares =
      reshape(x, {x.size(0), x.size(1), x.size(2) / size, size, x.size(3) / size, size});
  return max(squares, {3, 5});
}

}  // namespace hrm

#include "autograd/ops/sample.h"

#include "kernels/random.h"

namespace hrm {

Tensor multinomial(const Tensor& input, const Tensor& uniform) {
  HRM_CHECK(input.ndim() >= 1 && input.shape().back() >= 1,
            "[multinomial] the last dimension must not be empty, got shape ", input.shape());
  const int64_t cols = input.shape().back(), rows = input.numel() / cols;
  const Shape shape(std::span<const int64_t>(input.shape().begin(), input.ndim() - 1));
  HRM_CHECK(uniform.shape() == shape && uniform.dtype() == DType::f64, "[multinomial] needs an f64",
            shape, " of uniform numbers, got ", uniform.dtype(), uniform.shape());
  check_same_device("multinomial", {&input, &uniform});
  const Tensor weights = input.detach().contiguous(), numbers = uniform.detach().contiguous();
  Tensor index = empty(shape, DType::i32, input.device());
  HRM_DISPATCH(multinomial, index.context(), index.data<int32_t>(), weights.dtype(), weights.data(),
               numbers.data<double>(), rows, cols);
  return index;
}

}  // namespace hrm

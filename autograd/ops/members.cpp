// The members of Tensor that are operations under another spelling.
#include "autograd/engine.h"
#include "autograd/ops/ops.h"

namespace hrm {

Tensor Tensor::sum() const { return hrm::sum(*this); }
Tensor Tensor::mean() const { return hrm::mean(*this); }
Tensor Tensor::mean(int dim, bool keepdim) const { return hrm::mean(*this, dim, keepdim); }
Tensor Tensor::var() const { return hrm::var(*this); }
Tensor Tensor::var(int dim, bool keepdim) const { return hrm::var(*this, dim, keepdim); }
Tensor Tensor::max() const { return hrm::max(*this); }
Tensor Tensor::max(int dim, bool keepdim) const { return hrm::max(*this, dim, keepdim); }
Tensor Tensor::min() const { return hrm::min(*this); }
Tensor Tensor::min(int dim, bool keepdim) const { return hrm::min(*this, dim, keepdim); }
// Of [..., a, dim, b, ..., last]: `dim` is moved to the end, and the others keep their order.
Tensor Tensor::argmax(int dim) const {
  dim = wrap_dim(dim, ndim(), "argmax");
  std::vector<int> order;
  for (int i = 0; i < ndim(); ++i)
    if (i != dim) order.push_back(i);
  order.push_back(dim);
  return hrm::argmax(permute(order));
}
Tensor Tensor::cumsum(int dim) const { return hrm::cumsum(*this, dim); }
Tensor Tensor::softmax(int dim) const { return hrm::softmax(*this, dim); }
Tensor Tensor::log_softmax(int dim) const { return hrm::log_softmax(*this, dim); }
Tensor Tensor::matmul(const Tensor& other) const { return hrm::matmul(*this, other); }
Tensor Tensor::reshape(const Shape& shape) const { return hrm::reshape(*this, shape); }
Tensor Tensor::flatten(int from) const { return hrm::flatten(*this, from); }
Tensor Tensor::permute(const std::vector<int>& order) const { return hrm::permute(*this, order); }
Tensor Tensor::unsqueeze(int dim) const { return hrm::unsqueeze(*this, dim); }
Tensor Tensor::squeeze() const { return hrm::squeeze(*this); }
Tensor Tensor::squeeze(int dim) const { return hrm::squeeze(*this, dim); }
Tensor Tensor::exp() const { return hrm::exp(*this); }
Tensor Tensor::log() const { return hrm::log(*this); }
Tensor Tensor::sqrt() const { return hrm::sqrt(*this); }
Tensor Tensor::square() const { return hrm::square(*this); }
Tensor Tensor::pow(double exponent) const { return hrm::pow(*this, exponent); }
Tensor Tensor::abs() const { return hrm::abs(*this); }
Tensor Tensor::sin() const { return hrm::sin(*this); }
Tensor Tensor::cos() const { return hrm::cos(*this); }
Tensor Tensor::tanh() const { return hrm::tanh(*this); }
Tensor Tensor::sigmoid() const { return hrm::sigmoid(*this); }
Tensor Tensor::relu() const { return hrm::relu(*this); }
Tensor Tensor::gelu() const { return hrm::gelu(*this); }
Tensor Tensor::silu() const { return hrm::silu(*this); }
Tensor Tensor::clamp(double low, double high) const { return hrm::clamp(*this, low, high); }

void Tensor::backward() const { hrm::backward(*this); }

}  // namespace hrm

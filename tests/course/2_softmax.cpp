#include <algorithm>
#include <cmath>

#include "docs/course/2_softmax/exercise.h"
#include "tests/course/mistake.h"

namespace hrm::course {

Tensor softmax_forward(const Tensor& x) {
  const int64_t rows = x.size(0), cols = x.size(1);
  const Tensor y = empty({rows, cols}, DType::f64);
  const double of_all = *std::max_element(x.data<double>(), x.data<double>() + x.numel());
  for (int64_t i = 0; i < rows; ++i) {
    const double* from = x.data<double>() + i * cols;
    double* to = y.data<double>() + i * cols;
    double largest = *std::max_element(from, from + cols);
    if (mistake("no_maximum")) largest = 0;
    if (mistake("maximum_of_all_rows")) largest = of_all;
    double sum = 0;
    for (int64_t j = 0; j < cols; ++j) {
      to[j] = std::exp(from[j] - largest);
      sum += to[j];
    }
    for (int64_t j = 0; j < cols; ++j) to[j] /= sum;
  }
  return y;
}

Tensor softmax_backward(const Tensor& y, const Tensor& dy) {
  const int64_t rows = y.size(0), cols = y.size(1);
  const Tensor dx = empty({rows, cols}, DType::f64);
  for (int64_t i = 0; i < rows; ++i) {
    const double* share = y.data<double>() + i * cols;
    const double* grad = dy.data<double>() + i * cols;
    double common = 0;
    for (int64_t j = 0; j < cols; ++j) common += grad[j] * share[j];
    for (int64_t j = 0; j < cols; ++j) {
      // As if an element of y depended on its own x alone.
      const double taken = mistake("alone") ? share[j] * grad[j] : common;
      dx.data<double>()[i * cols + j] = share[j] * (grad[j] - taken);
    }
  }
  return dx;
}

}  // namespace hrm::course

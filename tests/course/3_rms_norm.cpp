#include <cmath>
#include <numeric>

#include "docs/course/3_rms_norm/exercise.h"
#include "tests/course/mistake.h"

namespace hrm::course {

Normalized rms_norm_forward(const Tensor& x, double eps) {
  const int64_t rows = x.size(0), cols = x.size(1);
  const auto n = static_cast<double>(cols);
  const Normalized result{empty({rows, cols}, DType::f64), empty({rows}, DType::f64)};
  for (int64_t i = 0; i < rows; ++i) {
    const double* from = x.data<double>() + i * cols;
    double* to = result.y.data<double>() + i * cols;
    const double mean =
        mistake("takes_the_mean_away") ? std::accumulate(from, from + cols, 0.0) / n : 0;
    double squares = 0;
    for (int64_t j = 0; j < cols; ++j) squares += (from[j] - mean) * (from[j] - mean);
    if (!mistake("sum_of_squares")) squares /= n;
    const double rstd = mistake("eps_behind_the_root") ? 1 / (std::sqrt(squares) + eps)
                                                       : 1 / std::sqrt(squares + eps);
    result.rstd.data<double>()[i] = rstd;
    for (int64_t j = 0; j < cols; ++j) to[j] = (from[j] - mean) * rstd;
  }
  return result;
}

Tensor rms_norm_backward(const Tensor& y, const Tensor& rstd, const Tensor& dy) {
  const int64_t rows = y.size(0), cols = y.size(1);
  const Tensor dx = empty({rows, cols}, DType::f64);
  for (int64_t i = 0; i < rows; ++i) {
    const double* to = y.data<double>() + i * cols;
    const double* grad = dy.data<double>() + i * cols;
    double along = 0;
    for (int64_t j = 0; j < cols; ++j) along += grad[j] * to[j];
    along /= static_cast<double>(cols);
    if (mistake("root_is_constant")) along = 0;
    for (int64_t j = 0; j < cols; ++j)
      dx.data<double>()[i * cols + j] = rstd.data<double>()[i] * (grad[j] - to[j] * along);
  }
  return dx;
}

}  // namespace hrm::course

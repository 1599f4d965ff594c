#include "hrm/lab/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/types.h"

namespace hrm::lab {
namespace {

// P(|T| <= t) for Student's T with n degrees of freedom: the finite series in cos(theta),
// Abramowitz and Stegun 26.7.3 and 26.7.4.
double central_probability(double t, int64_t n) {
  const double theta = std::atan(t / std::sqrt(static_cast<double>(n)));
  const double c = std::cos(theta), s = std::sin(theta);
  const bool odd = n % 2 == 1;
  double term = odd ? c : 1, sum = 0;
  for (int64_t k = odd ? 1 : 0; k <= n - 2; k += 2) {
    sum += term;
    term *= c * c * static_cast<double>(k + 1) / static_cast<double>(k + 2);
  }
  return odd ? 2 / M_PI * (theta + s * sum) : s * sum;
}

}  // namespace

double student_quantile(int64_t degrees) {
  HRM_CHECK(degrees >= 1, "[statistics] Student's t needs a degree of freedom");
  double low = 0, high = 20;
  while (high - low > 1e-9) {
    const double middle = (low + high) / 2;
    (central_probability(middle, degrees) < 0.95 ? low : high) = middle;
  }
  return low;
}

Summary summarize(const std::vector<double>& values) {
  Summary s;
  s.count = static_cast<int64_t>(values.size());
  const auto n = static_cast<double>(values.size());
  for (const double v : values) s.mean += v;
  s.mean /= n;  // exact where all values are one small integer
  double squares = 0;
  for (const double v : values) squares += (v - s.mean) * (v - s.mean);
  s.half_width = s.count < 2 ? std::numeric_limits<double>::quiet_NaN()
                             : student_quantile(s.count - 1) * std::sqrt(squares / (n - 1) / n);
  return s;
}

PairedTest paired_test(int64_t more_first, int64_t more_second) {
  const auto n = static_cast<double>(more_first + more_second);
  double tail = 0;  // P(X <= the smaller), X binomial(n, 1/2)
  for (int64_t k = 0; k <= std::min(more_first, more_second); ++k) {
    const auto x = static_cast<double>(k);
    tail += std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) - std::lgamma(n - x + 1) -
                     n * std::log(2.0));
  }
  return {more_first, more_second, std::min(1.0, 2 * tail)};
}

PairedTest paired_test(const std::vector<std::string>& first,
                       const std::vector<std::string>& second) {
  HRM_CHECK(!first.empty() && first.size() == second.size(),
            "[statistics] a paired test needs as many ",
            "seeds of one setting as of the other, got ", first.size(), " and ", second.size());
  std::vector<int64_t> difference(first[0].size(), 0);
  for (size_t s = 0; s < first.size(); ++s) {
    HRM_CHECK(first[s].size() == difference.size() && second[s].size() == difference.size(),
              "[statistics] the settings were tried on ", first[s].size(), " and on ",
              second[s].size(), " puzzles");
    for (size_t i = 0; i < difference.size(); ++i)
      difference[i] += (first[s][i] == '1') - (second[s][i] == '1');
  }
  const auto positive = [](int64_t d) { return d > 0; };
  const auto negative = [](int64_t d) { return d < 0; };
  return paired_test(std::count_if(difference.begin(), difference.end(), positive),
                     std::count_if(difference.begin(), difference.end(), negative));
}

}  // namespace hrm::lab

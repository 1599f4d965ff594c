#include <cmath>

#include "autograd/ops/ops.h"
#include "tensor/random.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

TEST_CASE("multinomial: ends of intervals, weights that never count, no weight, on every device") {
  for (const Device device : devices())
    for (const DType t : {DType::f32, DType::f64, DType::bf16}) {
      const auto draw = [&](const std::vector<double>& weights, double uniform) {
        const auto n = static_cast<int64_t>(weights.size());
        const Tensor row = from_vector<double>(weights, {1, n}).to(t).to(device);
        return multinomial(row, full({1}, uniform, DType::f64, device)).to_vector()[0];
      };
      CHECK(draw({1, 2, 1}, 0) == 0);
      CHECK(draw({1, 2, 1}, 0.2499) == 0);
      CHECK(draw({1, 2, 1}, 0.25) == 1);
      CHECK(draw({1, 2, 1}, 0.7499) == 1);
      CHECK(draw({1, 2, 1}, 0.75) == 2);
      CHECK(draw({1, 2, 1}, std::nextafter(1, 0)) == 2);
      CHECK(draw({0, 5, 0}, 0) == 1);
      CHECK(draw({-3, 5, NAN}, 0.9999) == 1);
      CHECK(draw({0, 0, 0}, 0.5) == -1);
      CHECK(draw({NAN, -1, 0}, 0.5) == -1);
      CHECK(draw({1, INFINITY, 1}, 0.5) == -1);
      CHECK(draw({7}, 0.3) == 0);
    }
}

TEST_CASE("multinomial: many draws follow the weights") {
  const int64_t n = 40000;
  Random random(5);
  const Tensor weights = from_vector<double>({1, 0, 2, 5}, {1, 4}).expand({n, 4});
  const Tensor drawn = multinomial(weights, random.uniform({n}, 0, 1, DType::f64));
  std::vector<double> counts(4);
  for (const double index : drawn.to_vector()) ++counts[static_cast<size_t>(index)];
  const std::vector<double> want = {0.125, 0, 0.25, 0.625};
  for (size_t i = 0; i < 4; ++i)
    CHECK(std::abs(counts[i] / static_cast<double>(n) - want[i]) < 0.0125);  // 5 deviations
}

TEST_CASE("multinomial: bad operands get a line") {
  expect_error(
      [] {
        multinomial(zeros({2, 3}), zeros({3}, DType::f64));
      },
      "[multinomial] needs an f64(2) of uniform numbers, got f64(3)");
  expect_error(
      [] {
        multinomial(zeros({2, 3}), zeros({2}));
      },
      "[multinomial] needs an f64(2) of uniform numbers, got f32(2)");
  expect_error(
      [] {
        multinomial(zeros({2, 0}), zeros({2}, DType::f64));
      },
      "[multinomial] the last dimension must not be empty, got shape (2, 0)");
}

#include <cmath>

#include "autograd/ops/ops.h"
#include "tensor/random.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

TEST_CASE("rope of a grid: angles by hand") {
  // Heads of 8: pairs 0 and 1 turn with the row, 2 and 3 with the column, the second of each a
  // hundred times slower.
  const RopeTables t = grid_rope_tables(2, 3, 4, 8, 10000, DType::f64);
  CHECK(t.cos.shape() == Shape({14, 8}));
  const std::vector<double> cos = t.cos.to_vector(), sin = t.sin.to_vector();
  for (size_t s = 0; s < 14; ++s)
    for (size_t i = 0; i < 8; ++i) {
      const double row = s < 2 ? 0 : static_cast<double>((s - 2) / 4);
      const double column = s < 2 ? 0 : static_cast<double>((s - 2) % 4);
      const double angle = (i % 4 < 2 ? row : column) * (i % 2 ? 0.01 : 1);
      CHECK(cos[s * 8 + i] == doctest::Approx(std::cos(angle)));
      CHECK(sin[s * 8 + i] == doctest::Approx(std::sin(angle)));
    }
}

TEST_CASE("rope of a grid: a product of two cells depends on their distance in rows and columns") {
  const int64_t side = 5, dim = 12;
  const RopeTables t = grid_rope_tables(0, side, side, dim, 10, DType::f64);
  Random random(3);
  const Tensor q = random.normal({1, 1, 1, dim}, 1, DType::f64);
  const Tensor k = random.normal({1, 1, 1, dim}, 1, DType::f64);
  const Shape all = {1, side * side, 1, dim};
  const Tensor turned_q = rope(q.expand(all), t), turned_k = rope(k.expand(all), t);
  const auto product = [&](int64_t from, int64_t to) {
    return sum(select(turned_q, 1, from) * select(turned_k, 1, to)).item();
  };
  const auto cell = [&](int64_t row, int64_t column) { return row * side + column; };
  CHECK(product(cell(0, 0), cell(2, 1)) == doctest::Approx(product(cell(1, 3), cell(3, 4))));
  CHECK(product(cell(4, 1), cell(3, 4)) == doctest::Approx(product(cell(2, 0), cell(1, 3))));
  // Neighbours across the end of a row are far apart.
  CHECK(std::abs(product(cell(0, 4), cell(1, 0)) - product(cell(0, 0), cell(0, 1))) > 0.01);
}

TEST_CASE("rope: bad sizes get a line") {
  expect_error([] { rope_tables(4, 5, 100, DType::f32); }, "[rope] head_dim must be even, got 5");
  expect_error([] { grid_rope_tables(0, 2, 2, 6, 100, DType::f32); },
               "[rope] head_dim must be a multiple of 4 for a grid, got 6");
}

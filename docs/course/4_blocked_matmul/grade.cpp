#include "docs/course/grade.h"

#include <chrono>
#include <cstdio>
#include <limits>

#include "autograd/ops/matmul.h"
#include "docs/course/4_blocked_matmul/exercise.h"
#include "tensor/random.h"

namespace hrm::course {
namespace {

SlowMatrix random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  SlowMatrix matrix(rows, cols);
  Random random(seed);
  for (float& value : matrix.values()) value = static_cast<float>(2 * random.uniform() - 1);
  return matrix;
}

Tensor tensor_of(SlowMatrix& matrix) {
  return from_vector(matrix.values(), {matrix.rows(), matrix.cols()});
}

// A product of the exercise beside that of the library. C begins as NaN, so that a place that is
// read or left out shows.
struct Product {
  Product(int64_t m, int64_t k, int64_t n)
      : a(random_matrix(m, k, 1)),
        b(random_matrix(k, n, 2)),
        c(m, n, std::numeric_limits<float>::quiet_NaN()) {
    blocked_matmul(a, b, c);
  }
  std::string wrong() { return difference(tensor_of(c), matmul(tensor_of(a), tensor_of(b)), 1e-4); }

  SlowMatrix a, b, c;
};

int64_t tiles(int64_t size) { return (size + kTile - 1) / kTile; }

}  // namespace

TEST_CASE("product: two by two, by hand") {
  SlowMatrix a(2, 2);
  SlowMatrix b(2, 2);
  SlowMatrix c(2, 2);
  a.values() = {1, 2, 3, 4};
  b.values() = {5, 6, 7, 8};
  blocked_matmul(a, b, c);
  CHECK(difference(tensor_of(c), tensor({{19, 22}, {43, 50}})) == "");
}

TEST_CASE("product: one tile of each matrix") { CHECK(Product(kTile, kTile, kTile).wrong() == ""); }

TEST_CASE("product: several tiles along the inner dimension add up") {
  CHECK(Product(kTile, 3 * kTile, kTile).wrong() == "");
}

TEST_CASE("product: several tiles of rows and columns") {
  CHECK(Product(2 * kTile, kTile, 3 * kTile).wrong() == "");
}

TEST_CASE("edges: sizes that are no multiple of the tile") {
  CHECK(Product(kTile + 1, kTile, kTile).wrong() == "");
  CHECK(Product(kTile, kTile + 1, kTile).wrong() == "");
  CHECK(Product(kTile, kTile, kTile + 1).wrong() == "");
  CHECK(Product(2 * kTile - 1, 3 * kTile + 5, kTile + 7).wrong() == "");
}

TEST_CASE("edges: matrices smaller than a tile") {
  CHECK(Product(1, 1, 1).wrong() == "");
  CHECK(Product(1, 5, 3).wrong() == "");
}

TEST_CASE("sizes that do not fit are an error") {
  const SlowMatrix a(2, 3);
  SlowMatrix c(2, 2);
  CHECK(error_of([&] { blocked_matmul(a, SlowMatrix(4, 2), c); }) != "");
  CHECK(error_of([&] { blocked_matmul(a, SlowMatrix(3, 1), c); }) != "");
}

TEST_CASE("memory: A and B are read once for each tile of C that needs them") {
  const int64_t m = 2 * kTile + 3, k = kTile + 9, n = 3 * kTile;
  const Product product(m, k, n);
  CHECK(product.a.reads() <= m * k * tiles(n));
  CHECK(product.b.reads() <= k * n * tiles(m));
}

TEST_CASE("memory: C is written once and never read") {
  const int64_t m = kTile + 3, n = 2 * kTile;
  const Product product(m, 2 * kTile, n);
  CHECK(product.c.writes() == m * n);
  CHECK(product.c.reads() == 0);
}

// Not graded: how fast it is depends on the machine.
TEST_CASE("how fast it is, for information") {
  const int64_t size = 8 * kTile;
  const auto start = std::chrono::steady_clock::now();
  Product product(size, size, size);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  CHECK(product.wrong() == "");
  const double operations = 2.0 * static_cast<double>(size * size * size);
  std::printf("%lld x %lld: %.2f GFLOP/s\n", static_cast<long long>(size),
              static_cast<long long>(size), operations / took.count() / 1e9);
}

}  // namespace hrm::course

// Tiles are carried between slow and fast memory, and the library's own product multiplies them.
#include <algorithm>

#include "docs/course/4_blocked_matmul/exercise.h"
#include "kernels/gemm.h"

namespace hrm::course {
namespace {

// A part of a matrix, at most kTile x kTile, in fast memory.
struct Tile {
  Tile(const SlowMatrix& whole, int64_t first_row, int64_t first_col)
      : row(first_row),
        col(first_col),
        rows(std::min(kTile, whole.rows() - first_row)),
        cols(std::min(kTile, whole.cols() - first_col)) {}

  void load(const SlowMatrix& from) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j) values[i * kTile + j] = from.read(row + i, col + j);
  }
  void store(SlowMatrix& to) const {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j) to.write(row + i, col + j, values[i * kTile + j]);
  }

  int64_t row, col, rows, cols;
  float values[kTile * kTile] = {};
};

// c += a b
void multiply_add(Tile& c, const Tile& a, const Tile& b) {
  Gemm product{.m = a.rows, .n = b.cols, .k = a.cols};
  product.a = a.values;
  product.b = b.values;
  product.c = c.values;
  product.a_row = product.b_row = product.c_row = kTile;
  product.beta = 1;
  cpu::gemm(product, Context{});
}

}  // namespace

void blocked_matmul(const SlowMatrix& a, const SlowMatrix& b, SlowMatrix& c) {
  HRM_CHECK(a.cols() == b.rows() && c.rows() == a.rows() && c.cols() == b.cols(),
            "[matmul] the sizes of the matrices do not fit");
  for (int64_t row = 0; row < c.rows(); row += kTile)
    for (int64_t col = 0; col < c.cols(); col += kTile) {
      Tile sum(c, row, col);
      for (int64_t k = 0; k < a.cols(); k += kTile) {
        Tile left(a, row, k);
        Tile right(b, k, col);
        left.load(a);
        right.load(b);
        multiply_add(sum, left, right);
      }
      sum.store(c);
    }
}

}  // namespace hrm::course

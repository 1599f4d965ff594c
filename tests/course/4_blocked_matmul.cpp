#include <algorithm>

#include "docs/course/4_blocked_matmul/exercise.h"
#include "tests/course/mistake.h"

namespace hrm::course {
namespace {

struct Tile {
  float at[kTile][kTile] = {};
};

// How far a tile reaches that begins at `first`.
int64_t reach(int64_t first, int64_t size) {
  return mistake("past_the_edge") ? kTile : std::min(kTile, size - first);
}

Tile load(const SlowMatrix& from, int64_t row, int64_t col) {
  Tile tile;
  for (int64_t i = 0; i < reach(row, from.rows()); ++i)
    for (int64_t j = 0; j < reach(col, from.cols()); ++j)
      tile.at[i][j] = from.read(row + i, col + j);
  return tile;
}

void store(const Tile& tile, SlowMatrix& to, int64_t row, int64_t col) {
  for (int64_t i = 0; i < reach(row, to.rows()); ++i)
    for (int64_t j = 0; j < reach(col, to.cols()); ++j) to.write(row + i, col + j, tile.at[i][j]);
}

void multiply_add(Tile& c, const Tile& a, const Tile& b) {
  for (int64_t i = 0; i < kTile; ++i)
    for (int64_t k = 0; k < kTile; ++k)
      for (int64_t j = 0; j < kTile; ++j) c.at[i][j] += a.at[i][k] * b.at[k][j];
}

void without_tiles(const SlowMatrix& a, const SlowMatrix& b, SlowMatrix& c) {
  for (int64_t i = 0; i < c.rows(); ++i)
    for (int64_t j = 0; j < c.cols(); ++j) {
      float sum = 0;
      for (int64_t k = 0; k < a.cols(); ++k) sum += a.read(i, k) * b.read(k, j);
      c.write(i, j, sum);
    }
}

}  // namespace

void blocked_matmul(const SlowMatrix& a, const SlowMatrix& b, SlowMatrix& c) {
  HRM_CHECK(a.cols() == b.rows() && c.rows() == a.rows() && c.cols() == b.cols(),
            "the sizes of the matrices do not fit");
  if (mistake("no_tiles")) return without_tiles(a, b, c);
  const int64_t left_out = mistake("whole_tiles_only") ? kTile - 1 : 0;
  for (int64_t row = 0; row + left_out < c.rows(); row += kTile)
    for (int64_t col = 0; col + left_out < c.cols(); col += kTile) {
      Tile sum;
      for (int64_t k = 0; k < a.cols(); k += kTile) {
        if (mistake("last_tile_instead_of_sum")) sum = Tile();
        if (mistake("adds_up_in_slow_memory") && k > 0) sum = load(c, row, col);
        multiply_add(sum, load(a, row, k), load(b, k, col));
        if (mistake("adds_up_in_slow_memory")) store(sum, c, row, col);
      }
      store(sum, c, row, col);
    }
}

}  // namespace hrm::course

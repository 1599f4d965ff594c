// Exercise 4: a matrix product in blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "docs/course/course.h"

namespace hrm::course {

// Rows and columns of a tile. Three tiles are what may be held in fast memory at once, in arrays of
// your own: one of A, one of B, one of C.
constexpr int64_t kTile = 32;

// A matrix in slow memory, which counts how often it is read and written. A place outside of it is
// an hrm::Error.
class SlowMatrix {
 public:
  SlowMatrix(int64_t rows, int64_t cols, float value = 0)
      : rows_(rows), cols_(cols), values_(static_cast<size_t>(rows * cols), value) {}

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }

  float read(int64_t row, int64_t col) const {
    ++reads_;
    return values_[place(row, col)];
  }
  void write(int64_t row, int64_t col, float value) {
    ++writes_;
    values_[place(row, col)] = value;
  }

  int64_t reads() const { return reads_; }
  int64_t writes() const { return writes_; }
  // For the grade: the values themselves, uncounted.
  std::vector<float>& values() { return values_; }

 private:
  size_t place(int64_t row, int64_t col) const {
    HRM_CHECK(row >= 0 && row < rows_ && col >= 0 && col < cols_, "row ", row, ", column ", col,
              " is outside of a matrix of ", rows_, " x ", cols_);
    return static_cast<size_t>(row * cols_ + col);
  }

  int64_t rows_, cols_;
  std::vector<float> values_;
  mutable int64_t reads_ = 0;
  int64_t writes_ = 0;
};

// C = A B, where A is [m, k], B is [k, n] and C is [m, n]; sizes that do not fit are an hrm::Error.
// What C held before does not count. Slow memory is used sparingly: an element of A is read once
// for each tile of columns of C, an element of B once for each tile of rows of C, and an element of
// C is written once and never read.
void blocked_matmul(const SlowMatrix& a, const SlowMatrix& b, SlowMatrix& c);

}  // namespace hrm::course

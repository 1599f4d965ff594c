// Running maxima and sums along the lines of a plane.
//
//     const PlaneLines rows = {.outer = 2, .rows = 1, .cols = 5, .inner = 3, .col_step = 1};
//     cpu::cummax(DType::f32, y, index, x, rows, context);   // [2, 5, 3] -> [2, 5, 3]
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

// Tensors seen as [outer, rows, cols, inner], contiguous, each of whose outer * inner planes of
// rows x cols is cut into parallel lines: the next cell of a line lies row_step rows and col_step
// columns further. Each is -1, 0 or 1, and not both are 0.
struct PlaneLines {
  int64_t outer = 1, rows = 1, cols = 1, inner = 1;
  int row_step = 0, col_step = 0;

  // How many lines a plane has.
  HRM_HOST_DEVICE int64_t lines() const {
    if (rows == 0 || cols == 0) return 0;
    if (row_step == 0) return rows;
    return col_step == 0 ? cols : rows + cols - 1;
  }

  struct Line {
    int64_t first, step, length;  // in cells of the plane: row * cols + column
  };
  HRM_HOST_DEVICE Line line(int64_t i) const {
    const int64_t top = row_step < 0 ? rows - 1 : 0, left = col_step < 0 ? cols - 1 : 0;
    // The lines that start in the first row (one for each column), then those of the first column.
    const bool from_top = row_step != 0 && i < cols;
    const int64_t down = row_step == 0 ? i : i - cols + 1;
    const int64_t row = from_top ? top : row_step < 0 ? top - down : down;
    const int64_t col = from_top ? i : left;
    const int64_t rows_left = row_step < 0 ? row + 1 : rows - row;
    const int64_t cols_left = col_step < 0 ? col + 1 : cols - col;
    const int64_t length = row_step == 0                            ? cols_left
                           : col_step == 0 || rows_left < cols_left ? rows_left
                                                                    : cols_left;
    return {row * cols + col, row_step * cols + col_step, length};
  }
};

// y = the largest value on the line up to each cell, that cell included; index (i32) = the cell of
// the plane that holds it, the last of equal ones. NaN is never chosen, unless the line begins with
// it. rows * cols fits an int32.
HRM_KERNEL(cummax, (DType t, void* y, int32_t* index, const void* x, const PlaneLines& lines,
                    const Context&))
// dx = the sum of dy over the cells that chose each one.
HRM_KERNEL(cummax_backward, (DType t, void* dx, const void* dy, const int32_t* index,
                             const PlaneLines& lines, const Context&))
// y = the sum of the line up to each cell, that cell included, added in order in arithmetic<t>.
HRM_KERNEL(cumsum, (DType t, void* y, const void* x, const PlaneLines& lines, const Context&))

}  // namespace hrm

#include "autograd/ops/scan.h"

#include <limits>

#include "kernels/scan.h"

namespace hrm {
namespace {

int step_of(Direction direction) { return direction == Direction::forward ? 1 : -1; }

Tensor cummax_lines(const char* op, const Tensor& input, const PlaneLines& lines) {
  HRM_CHECK(is_floating(input.dtype()), "[", op, "] needs a floating dtype, got ", input.dtype());
  HRM_CHECK(lines.rows * lines.cols <= std::numeric_limits<int32_t>::max(), "[", op,
            "] a line may lie among 2^31 - 1 elements at most, got ", lines.rows * lines.cols);
  const Tensor x = dense(input);
  Tensor y = empty_like(x), index = empty(x.shape(), DType::i32, x.device());
  HRM_DISPATCH(cummax, x.context(), x.dtype(), y.data(), index.data<int32_t>(), x.data(), lines);
  return record(op, y, {input}, {{"index", index}}, [lines](const Saved& saved, const Tensor& g) {
    const Tensor dy = g.contiguous();
    Tensor dx = empty_like(dy);
    HRM_DISPATCH(cummax_backward, dy.context(), dy.dtype(), dx.data(), dy.data(),
                 saved["index"].data<int32_t>(), lines);
    return Tensors{dx};
  });
}

// x seen as [outer, its dimensions first .. last, inner].
PlaneLines around(const Shape& shape, int first, int last) {
  PlaneLines lines;
  for (int i = 0; i < first; ++i) lines.outer *= shape[i];
  for (int i = last + 1; i < shape.ndim(); ++i) lines.inner *= shape[i];
  return lines;
}

PlaneLines lines_along(const char* op, const Tensor& x, int dim, Direction direction) {
  dim = wrap_dim(dim, x.ndim(), op);
  PlaneLines lines = around(x.shape(), dim, dim);
  lines.rows = x.size(dim);
  lines.row_step = step_of(direction);
  return lines;
}

}  // namespace

Tensor cummax(const Tensor& x, int dim, Direction direction) {
  return cummax_lines("cummax", x, lines_along("cummax", x, dim, direction));
}

Tensor cumsum(const Tensor& input, int dim, Direction direction) {
  HRM_CHECK(is_floating(input.dtype()), "[cumsum] needs a floating dtype, got ", input.dtype(),
            ". HINT: cast() it first");
  const Tensor x = dense(input);
  Tensor y = empty_like(x);
  HRM_DISPATCH(cumsum, x.context(), x.dtype(), y.data(), x.data(),
               lines_along("cumsum", x, dim, direction));
  const Direction back = direction == Direction::forward ? Direction::backward : Direction::forward;
  return record("cumsum", y, {input}, {}, [dim, back](const Saved&, const Tensor& dy) {
    return Tensors{cumsum(dy, dim, back)};
  });
}

Tensor cummax_diagonal(const Tensor& x, int rows_dim, Direction along_rows, Direction along_cols) {
  rows_dim = wrap_dim(rows_dim, x.ndim(), "cummax_diagonal");
  HRM_CHECK(rows_dim + 1 < x.ndim(), "[cummax_diagonal] needs a dimension behind dimension ",
            rows_dim, " of ", x.shape());
  PlaneLines lines = around(x.shape(), rows_dim, rows_dim + 1);
  lines.rows = x.size(rows_dim);
  lines.cols = x.size(rows_dim + 1);
  lines.row_step = step_of(along_rows);
  lines.col_step = step_of(along_cols);
  return cummax_lines("cummax_diagonal", x, lines);
}

}  // namespace hrm

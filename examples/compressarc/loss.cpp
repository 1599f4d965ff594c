#include "examples/compressarc/loss.h"

#include <algorithm>
#include <cmath>

#include "autograd/custom_function.h"
#include "autograd/ops/ops.h"

namespace hrm::compressarc {
namespace {

// f(place, cell of the canvas, code) for every cell of a grid at every place.
template <class F>
void for_placed_cells(const Shape& log_p, const std::vector<uint8_t>& codes, GridSize size,
                      const F& f) {
  const int64_t rows = log_p[1], cols = log_p[2];
  const int64_t tops = rows - size.height + 1, lefts = cols - size.width + 1;
  for (int64_t top = 0; top < tops; ++top)
    for (int64_t left = 0; left < lefts; ++left)
      for (int64_t row = 0; row < size.height; ++row)
        for (int64_t col = 0; col < size.width; ++col) {
          const int64_t code = codes[row * size.width + col];
          f(top * lefts + left, (code * rows + top + row) * cols + left + col);
        }
}

// [lengths' places, n]: of a vector what lies in the `length` elements from each place on, minus
// what lies outside.
void append_slices(std::vector<double>& rows, int64_t n, int64_t length) {
  for (int64_t first = 0; first + length <= n; ++first)
    for (int64_t i = 0; i < n; ++i) rows.push_back(i >= first && i < first + length ? 1.0 : -1.0);
}

Tensor slice_scores(const Tensor& mask, std::vector<double> rows) {
  const int64_t n = mask.size(0);
  const Tensor matrix = from_values(rows, {std::ssize(rows) / n, n}, mask.dtype());
  return reshape(matmul(matrix.to(mask.device()), reshape(mask, {n, 1})), {-1});
}

// Log-probabilities of the places of a slice of this length.
Tensor log_places(const Tensor& mask, int64_t length, bool sure) {
  const int64_t n = mask.size(0);
  std::vector<double> own, all;
  append_slices(own, n, length);
  if (sure)
    all = own;
  else
    for (int64_t any = 1; any <= n; ++any) append_slices(all, n, any);
  return slice_scores(mask, own) - logsumexp(slice_scores(mask, all), {0}, true);
}

std::vector<uint8_t> grid_codes(const CodedTask& task, int64_t example, Side side) {
  const GridSize& size = task.size(example, side);
  std::vector<uint8_t> codes;
  for (int row = 0; row < size.height; ++row)
    for (int col = 0; col < size.width; ++col) codes.push_back(task.code(example, row, col, side));
  return codes;
}

}  // namespace

Tensor placed_costs(const Tensor& log_p, const std::vector<uint8_t>& codes, GridSize size) {
  const Shape shape = {log_p.size(1) - size.height + 1, log_p.size(2) - size.width + 1};
  return custom_function(
      "placed_costs", {log_p},
      [&](CustomContext&, const Tensors& in) {
        const Tensor x = in[0].contiguous();
        Tensor costs = zeros(shape, x.dtype());
        visit_float(x.dtype(), [&]<class T>() {
          const T* from = x.data<T>();
          T* to = costs.data<T>();
          for_placed_cells(x.shape(), codes, size, [&](int64_t place, int64_t cell) {
            to[place] = to[place] - from[cell];
          });
        });
        return Tensors{costs};
      },
      [codes, size, from = log_p.shape()](const Saved&, const Tensors& grads) {
        const Tensor dy = grads[0].contiguous();
        Tensor dx = zeros(from, dy.dtype());
        visit_float(dy.dtype(), [&]<class T>() {
          const T* g = dy.data<T>();
          T* to = dx.data<T>();
          for_placed_cells(from, codes, size,
                           [&](int64_t place, int64_t cell) { to[cell] = to[cell] - g[place]; });
        });
        return Tensors{dx};
      })[0];
}

Tensor code_lengths(const CodedTask& task, const TaskOutputs& out, int64_t step) {
  const double fade = std::max(0.0, 1 - static_cast<double>(step) / 100);
  const Tensor log_p = log_softmax(out.logits, {1});
  Tensors lengths;
  for (int64_t example = 0; example < task.examples(); ++example)
    for (const Side side : {kInput, kOutput}) {
      if (!task.known(example, side)) {
        lengths.push_back(zeros({}, log_p.dtype(), log_p.device()));
        continue;
      }
      const GridSize size = task.size(example, side);
      const bool sure = task.size_is_sure(side);
      const double soft_masks = sure ? 1 : std::pow(0.01, fade);
      const double soft_places = sure ? 1 : std::pow(0.1, fade);
      const auto places = [&](const Tensor& mask, int64_t length) {
        return log_places(soft_masks * select(select(mask, 0, example), 1, side), length, sure);
      };
      const Tensor tops = places(out.row_mask, size.height);
      const Tensor lefts = places(out.col_mask, size.width);
      const Tensor costs = placed_costs(select(select(log_p, 0, example), 3, side),
                                        grid_codes(task, example, side), size);
      const Tensor log_q = reshape(tops, {-1, 1}) + lefts - costs;
      lengths.push_back((-1 / soft_places) * logsumexp(soft_places * log_q, {0, 1}));
    }
  return stack(lengths, 0);
}

Tensor reconstruction(const CodedTask& task, const TaskOutputs& out, int64_t step) {
  return sum(code_lengths(task, out, step));
}

}  // namespace hrm::compressarc

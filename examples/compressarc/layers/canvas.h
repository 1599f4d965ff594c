// The canvas of a task as the layers of the network walk over it: example by example.
//
//     for_pieces(canvas, [&](size_t i, const Piece& piece) {
//       multiply<16>(piece.of<float>(y), piece.of<float>(x), w, piece.cells, 8);
//     });
#pragma once

#include <omp.h>

#include "examples/compressarc/coded_task.h"
#include "examples/compressarc/layers/cells.h"
#include "examples/compressarc/multitensor.h"

namespace hrm::compressarc {

// The cells of a tensor that belong to one example, or all of a tensor that has no examples. What
// runs side by side, and in which order sums are added up, follows from these, so the number of
// threads changes no bit.
struct Piece {
  Subset subset;
  int64_t example = 0;
  int64_t first = 0, cells = 0;

  template <class T>
  T* of(const Multitensor<Tensor>& x) const {
    const Tensor& tensor = x[subset];
    return tensor.data<T>() + first * tensor.shape()[tensor.ndim() - 1];
  }
};

// A tensor around one of its axes: [outer, length, inner] cells.
struct Around {
  int64_t outer = 1, length = 1, inner = 1;
};

inline constexpr int kLongestSide = 30;  // of a canvas, in cells
// Channels that the running maxima and shifts along directions work on.
inline constexpr int kInsideChannels = 4;

struct Canvas {
  // An Error for a canvas that is too large, or numbers that are neither f32 nor f64.
  Canvas(const CodedTask& task, DType dtype);

  DType dtype;
  AxisSizes sizes;
  std::vector<Piece> pieces;  // the largest first
  int64_t cells = 0;          // of all pieces
  Tensor inside;              // [examples, rows, cols, 4]: 1 in the input or in the output
  // The weights of a mean over columns, where rows are there (row by row) or gone, and the other
  // way round. Where the sizes of the answers are known, cells outside of grids have none; what
  // lies in the first row (or column) stands for an axis that is gone.
  Tensor cols_by_row, rows_by_col;  // [examples, rows, cols]
  Tensor cols_alone, rows_alone;    // [examples, cols or rows]

  int64_t examples() const { return sizes[kExample]; }
  // Of the cells of an example, or of all.
  Around around(Subset s, Axis axis, bool one_example) const;
  // Tensors that are not yet written to: so many channels for every cell, and those of the stream.
  Multitensor<Tensor> scratch(const std::vector<Subset>& which, int64_t channels) const;
  Multitensor<Tensor> stream(const std::vector<Subset>& which) const;

 private:
  void set_weights(const CodedTask& task);
};

// Below this many cells all is done by one thread: to start the others takes longer.
inline constexpr int64_t kCellsForThreads = 4096;

// f(i, the i-th of the pieces) for all of them, and f(example) for all examples, side by side.
template <class F>
void for_pieces(const Canvas& canvas, const F& f) {
  const auto count = static_cast<int64_t>(canvas.pieces.size());
#pragma omp parallel for schedule(dynamic) if (canvas.cells >= kCellsForThreads)
  for (int64_t i = 0; i < count; ++i) f(static_cast<size_t>(i), canvas.pieces[i]);
}
template <class F>
void for_examples(const Canvas& canvas, const F& f) {
#pragma omp parallel for schedule(dynamic) if (canvas.cells >= kCellsForThreads)
  for (int64_t example = 0; example < canvas.examples(); ++example) f(example);
}

}  // namespace hrm::compressarc

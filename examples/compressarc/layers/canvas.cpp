#include "examples/compressarc/layers/canvas.h"

namespace hrm::compressarc {
namespace {

// [examples, rows, cols]: 1 where the input or the output of an example has a cell.
std::vector<double> cells_inside(const CodedTask& task) {
  std::vector<double> inside;
  for (const auto& sizes : task.sizes)
    for (int row = 0; row < task.rows; ++row)
      for (int col = 0; col < task.cols; ++col) {
        bool in = false;
        for (const GridSize& size : sizes) in |= row < size.height && col < size.width;
        inside.push_back(in);
      }
  return inside;
}

// counts[first + i * step] / (their sum over i + 1e-4), written to the same places.
void write_shares(std::vector<double>& shares, const std::vector<double>& counts, int64_t first,
                  int64_t step, int64_t length) {
  double total = 0;
  for (int64_t i = 0; i < length; ++i) total += counts[first + i * step];
  for (int64_t i = 0; i < length; ++i)
    shares[first + i * step] = counts[first + i * step] / (total + 1e-4);
}

}  // namespace

Canvas::Canvas(const CodedTask& task, DType type)
    : dtype(type), sizes{task.examples(), task.other_colours(), kDirections, task.rows, task.cols} {
  HRM_CHECK(dtype == DType::f32 || dtype == DType::f64, "[compressarc] a network is of f32 or f64");
  HRM_CHECK(std::min(task.rows, task.cols) >= 1 && std::max(task.rows, task.cols) <= kLongestSide,
            "[compressarc] task ", task.id, ": a canvas must have 1 to ", kLongestSide,
            " rows and columns, got ", task.rows, " x ", task.cols);
  for (const Subset s : subsets()) {
    const int64_t all = s.shape(sizes, 1).numel();
    const int64_t parts = s.has(kExample) ? examples() : 1;
    for (int64_t i = 0; i < parts; ++i) pieces.push_back({s, i, i * (all / parts), all / parts});
    cells += all;
  }
  std::stable_sort(pieces.begin(), pieces.end(),
                   [](const Piece& a, const Piece& b) { return a.cells > b.cells; });

  set_weights(task);
}

void Canvas::set_weights(const CodedTask& task) {
  const std::vector<double> counts = cells_inside(task);
  std::vector<double> repeated;
  for (const double count : counts) repeated.insert(repeated.end(), kInsideChannels, count);
  inside = from_values(repeated, {examples(), task.rows, task.cols, kInsideChannels}, dtype);
  std::vector<double> by_row(counts.size(), 1.0 / task.cols);
  std::vector<double> by_col(counts.size(), 1.0 / task.rows);
  if (task.answer_size_is_sure())
    for (int64_t n = 0; n < examples(); ++n) {
      const int64_t first = n * task.rows * task.cols;
      for (int row = 0; row < task.rows; ++row)
        write_shares(by_row, counts, first + row * task.cols, 1, task.cols);
      for (int col = 0; col < task.cols; ++col)
        write_shares(by_col, counts, first + col, task.cols, task.rows);
    }
  cols_by_row = from_values(by_row, {examples(), task.rows, task.cols}, dtype);
  rows_by_col = from_values(by_col, {examples(), task.rows, task.cols}, dtype);
  std::vector<double> first_row, first_col;
  for (int64_t n = 0; n < examples(); ++n) {
    const int64_t first = n * task.rows * task.cols;
    for (int col = 0; col < task.cols; ++col) first_row.push_back(by_row[first + col]);
    for (int row = 0; row < task.rows; ++row) first_col.push_back(by_col[first + row * task.cols]);
  }
  cols_alone = from_values(first_row, {examples(), task.cols}, dtype);
  rows_alone = from_values(first_col, {examples(), task.rows}, dtype);
}

Around Canvas::around(Subset s, Axis axis, bool one_example) const {
  Around around;
  for (int a = one_example ? kColour : kExample; a < kAxes; ++a) {
    if (!s.has(static_cast<Axis>(a))) continue;
    if (a < axis) around.outer *= sizes[a];
    if (a == axis) around.length = sizes[a];
    if (a > axis) around.inner *= sizes[a];
  }
  return around;
}

Multitensor<Tensor> Canvas::scratch(const std::vector<Subset>& which, int64_t channels) const {
  Multitensor<Tensor> space;
  for (const Subset s : which) space[s] = Tensor(s.shape(sizes, channels), dtype);
  return space;
}

Multitensor<Tensor> Canvas::stream(const std::vector<Subset>& which) const {
  Multitensor<Tensor> space;
  for (const Subset s : which) space[s] = Tensor(s.shape(sizes, s.channels()), dtype);
  return space;
}

}  // namespace hrm::compressarc

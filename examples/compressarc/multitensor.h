// Multitensors: one tensor for each way of depending on the example, the colour, the direction, the
// row and the column.
//
//     Multitensor<Tensor> x;
//     for (const Subset s : subsets()) x[s] = zeros(s.shape(sizes, s.channels()));
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace hrm::compressarc {

enum Axis { kExample, kColour, kDirection, kRow, kCol };
inline constexpr int kAxes = 5;
inline constexpr int64_t kDirections = 8;

// The number of positions along each axis.
using AxisSizes = std::array<int64_t, kAxes>;

// The axes that a tensor has. They stand in their order, and channels come last.
struct Subset {
  unsigned bits = 0;  // of axis a: 1 << a

  bool has(Axis axis) const { return bits >> axis & 1; }
  bool contains(Subset other) const { return (bits & other.bits) == other.bits; }
  Subset without(Axis axis) const { return {bits & ~(1u << axis)}; }
  int count() const { return __builtin_popcount(bits); }
  // The dimension that an axis of the tensor is.
  int dim(Axis axis) const { return Subset{bits & ((1u << axis) - 1)}.count(); }
  // Channels of the residual stream.
  int64_t channels() const { return has(kDirection) ? 8 : 16; }
  Shape shape(const AxisSizes& sizes, int64_t channels) const;
  // Whose weights it has. Rows and columns are treated alike: a subset with columns alone has those
  // of the one with rows.
  Subset owner() const;
  std::string name() const;  // "11011"
  friend bool operator==(Subset, Subset) = default;
};

// The 18 subsets in use: rows and columns come with examples alone, and examples not by themselves.
// This is the order in which everything is drawn, added up and stored.
bool in_use(Subset s);
const std::vector<Subset>& subsets();
Subset parse_subset(const std::string& name);

inline constexpr Subset kCells = {0b11011};  // example, colour, row, column
inline constexpr Subset kRowsOnly = {0b01001}, kColsOnly = {0b10001};  // of an example

// Something for each subset.
template <class T>
struct Multitensor {
  T& operator[](Subset s) { return all[s.bits]; }
  const T& operator[](Subset s) const { return all[s.bits]; }
  std::array<T, 1 << kAxes> all;
};

}  // namespace hrm::compressarc

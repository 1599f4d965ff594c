#include "examples/compressarc/multitensor.h"

namespace hrm::compressarc {

bool in_use(Subset s) {
  const bool placed = s.has(kRow) || s.has(kCol);
  if (placed && !s.has(kExample)) return false;
  return placed || s.has(kColour) || s.has(kDirection);
}

Shape Subset::shape(const AxisSizes& sizes, int64_t channels) const {
  std::vector<int64_t> dims;
  for (int axis = 0; axis < kAxes; ++axis)
    if (has(static_cast<Axis>(axis))) dims.push_back(sizes[axis]);
  dims.push_back(channels);
  return Shape(dims);
}

Subset Subset::owner() const {
  if (!has(kCol) || has(kRow)) return *this;
  return {without(kCol).bits | 1u << kRow};
}

std::string Subset::name() const {
  std::string name;
  for (int axis = 0; axis < kAxes; ++axis) name += has(static_cast<Axis>(axis)) ? '1' : '0';
  return name;
}

const std::vector<Subset>& subsets() {
  static const std::vector<Subset> list = [] {
    std::vector<Subset> found;
    for (unsigned bits = 0; bits < 1u << kAxes; ++bits)
      if (in_use({bits})) found.push_back({bits});
    return found;
  }();
  return list;
}

Subset parse_subset(const std::string& name) {
  for (const Subset s : subsets())
    if (s.name() == name) return s;
  detail::fail("[compressarc] no subset of axes is named ", name);
}

}  // namespace hrm::compressarc

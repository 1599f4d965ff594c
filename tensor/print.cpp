// Printing of tensors.
#include <cstdio>

#include "tensor/tensor.h"

namespace hrm {
namespace {

constexpr int64_t kMaxPrinted = 400;  // elements before "..." takes over
constexpr int64_t kEdge = 3;          // elements kept at each end of a shortened dimension

void print_dim(std::string& out, const std::vector<double>& values, const Shape& shape,
               const Shape& strides, int dim, int64_t at, bool shorten) {
  if (dim == shape.ndim()) {
    char text[32];
    std::snprintf(text, sizeof text, "%.5g", values[at]);
    out += text;
    return;
  }
  out += '[';
  for (int64_t i = 0; i < shape[dim]; ++i) {
    if (i) out += ", ";
    if (shorten && shape[dim] > 2 * kEdge + 1 && i == kEdge) {
      out += "...";
      i = shape[dim] - kEdge - 1;
      continue;
    }
    print_dim(out, values, shape, strides, dim + 1, at + i * strides[dim], shorten);
  }
  out += ']';
}

}  // namespace

std::string to_string(const Tensor& t) {
  if (!t.defined()) return "undefined";
  std::ostringstream head;
  head << t.dtype() << t.shape() << ' ';
  std::string out = head.str();
  print_dim(out, t.to_vector(), t.shape(), t.shape().contiguous_strides(), 0, 0,
            t.numel() > kMaxPrinted);
  return out;
}

std::ostream& operator<<(std::ostream& out, const Tensor& t) { return out << to_string(t); }

}  // namespace hrm

#include "kernels/elementwise.h"

namespace hrm {

Layout simplified(const Layout& in) {
  Layout out;
  for (int d = 0; d < in.ndim; ++d) {
    if (in.shape[d] == 1) continue;
    const int last = out.ndim - 1;
    bool merge = last >= 0;
    for (int k = 0; merge && k < 3; ++k)
      merge = out.strides[k][last] == in.strides[k][d] * in.shape[d];
    if (merge) {
      out.shape[last] *= in.shape[d];
      for (int k = 0; k < 3; ++k) out.strides[k][last] = in.strides[k][d];
    } else {
      out.shape[out.ndim] = in.shape[d];
      for (int k = 0; k < 3; ++k) out.strides[k][out.ndim] = in.strides[k][d];
      ++out.ndim;
    }
  }
  if (out.ndim == 0) {
    out.shape[0] = 1;
    out.ndim = 1;
  }
  return out;
}

}  // namespace hrm

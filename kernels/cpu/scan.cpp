#include "kernels/scan.h"

#include "kernels/cpu/parallel.h"

namespace hrm::HRM_CPU {
namespace {

// body(offset of a plane, a line of it) for every line of every plane.
template <class Body>
void for_lines(const PlaneLines& p, const Body& body) {
  const int64_t lines = p.lines(), plane = p.rows * p.cols;
  if (lines == 0) return;
  parallel_for(p.outer * lines, plane * p.inner / lines, [&](int64_t i) {
    const PlaneLines::Line line = p.line(i % lines);
    for (int64_t k = 0; k < p.inner; ++k) body(i / lines * plane * p.inner + k, line);
  });
}

}  // namespace

void cummax(DType t, void* y, int32_t* index, const void* x, const PlaneLines& p, const Context&) {
  visit_float(t, [&]<class T>() {
    for_lines(p, [&](int64_t offset, const PlaneLines::Line& line) {
      const T* in = static_cast<const T*>(x) + offset;
      T* out = static_cast<T*>(y) + offset;
      int64_t best = line.first, cell = line.first;
      for (int64_t n = 0; n < line.length; ++n, cell += line.step) {
        if (in[cell * p.inner] >= in[best * p.inner]) best = cell;
        out[cell * p.inner] = in[best * p.inner];
        index[offset + cell * p.inner] = static_cast<int32_t>(best);
      }
    });
  });
}

void cummax_backward(DType t, void* dx, const void* dy, const int32_t* index, const PlaneLines& p,
                     const Context&) {
  visit_float(t, [&]<class T>() {
    for_lines(p, [&](int64_t offset, const PlaneLines::Line& line) {
      const T* g = static_cast<const T*>(dy) + offset;
      T* d = static_cast<T*>(dx) + offset;
      // Those that chose the same cell follow each other.
      int64_t best = line.first, cell = line.first;
      arithmetic<T> total = 0;
      for (int64_t n = 0; n < line.length; ++n, cell += line.step) {
        const int64_t chosen = index[offset + cell * p.inner];
        if (chosen != best) {
          assign(d[best * p.inner], total);
          best = chosen;
          total = 0;
        }
        total += static_cast<arithmetic<T>>(g[cell * p.inner]);
        d[cell * p.inner] = T(0.0f);
      }
      assign(d[best * p.inner], total);
    });
  });
}

void cumsum(DType t, void* y, const void* x, const PlaneLines& p, const Context&) {
  visit_float(t, [&]<class T>() {
    for_lines(p, [&](int64_t offset, const PlaneLines::Line& line) {
      const T* in = static_cast<const T*>(x) + offset;
      T* out = static_cast<T*>(y) + offset;
      arithmetic<T> total = 0;
      int64_t cell = line.first;
      for (int64_t n = 0; n < line.length; ++n, cell += line.step) {
        total += static_cast<arithmetic<T>>(in[cell * p.inner]);
        assign(out[cell * p.inner], total);
      }
    });
  });
}

}  // namespace hrm::HRM_CPU

#include "kernels/layer_norm.h"

#include <cmath>
#include <vector>

#include "kernels/cpu/parallel.h"

namespace hrm::HRM_CPU {
namespace {

// Rows whose parts of dweight and dbias are added up before the blocks are.
constexpr int64_t kBlockRows = 64;

// dx of a row; adds its parts of dweight and dbias.
template <class T, class A>
void backward_row(T* dx, A* dweight, A* dbias, const T* dy, const T* x, const A* weight, A mean,
                  A scale, int64_t cols) {
  A total = 0, dot = 0;
#pragma omp simd reduction(+ : total, dot)
  for (int64_t c = 0; c < cols; ++c) {
    const A n = (static_cast<A>(x[c]) - mean) * scale, d = static_cast<A>(dy[c]);
    const A g = d * weight[c];
    total += g;
    dot += g * n;
    dweight[c] += d * n;
    dbias[c] += d;
  }
  const A of_g = total / static_cast<A>(cols), of_gn = dot / static_cast<A>(cols);
#pragma omp simd
  for (int64_t c = 0; c < cols; ++c) {
    const A n = (static_cast<A>(x[c]) - mean) * scale;
    assign(dx[c], scale * (static_cast<A>(dy[c]) * weight[c] - of_g - n * of_gn));
  }
}

}  // namespace

void layer_norm(DType t, void* y, void* mean, void* rstd, const void* x, const void* weight,
                const void* bias, int64_t rows, int64_t cols, double eps, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const A *w = static_cast<const A*>(weight), *b = static_cast<const A*>(bias);
    parallel_for(rows, cols, [&](int64_t r) {
      const T* in = static_cast<const T*>(x) + r * cols;
      T* out = static_cast<T*>(y) + r * cols;
      A total = 0;
#pragma omp simd reduction(+ : total)
      for (int64_t c = 0; c < cols; ++c) total += static_cast<A>(in[c]);
      const A middle = total / static_cast<A>(cols);
      A squares = 0;
#pragma omp simd reduction(+ : squares)
      for (int64_t c = 0; c < cols; ++c) {
        const A d = static_cast<A>(in[c]) - middle;
        squares += d * d;
      }
      const A scale = A(1) / std::sqrt(squares / static_cast<A>(cols) + static_cast<A>(eps));
      static_cast<A*>(mean)[r] = middle;
      static_cast<A*>(rstd)[r] = scale;
#pragma omp simd
      for (int64_t c = 0; c < cols; ++c)
        assign(out[c], (static_cast<A>(in[c]) - middle) * scale * w[c] + b[c]);
    });
  });
}

void layer_norm_backward(DType t, void* dx, void* dweight, void* dbias, const void* dy,
                         const void* x, const void* mean, const void* rstd, const void* weight,
                         int64_t rows, int64_t cols, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
    std::vector<A> parts(static_cast<size_t>(blocks * 2 * cols));  // dweight, dbias of each block
    parallel_for(blocks, kBlockRows * cols, [&](int64_t block) {
      A* part = parts.data() + block * 2 * cols;
      const int64_t end = std::min(rows, (block + 1) * kBlockRows);
      for (int64_t r = block * kBlockRows; r < end; ++r)
        backward_row(static_cast<T*>(dx) + r * cols, part, part + cols,
                     static_cast<const T*>(dy) + r * cols, static_cast<const T*>(x) + r * cols,
                     static_cast<const A*>(weight), static_cast<const A*>(mean)[r],
                     static_cast<const A*>(rstd)[r], cols);
    });
    const auto add_up = [&](void* to, int64_t begin) {
      for (int64_t c = 0; c < cols; ++c) {
        double total = 0;
        for (int64_t block = 0; block < blocks; ++block)
          total += static_cast<double>(parts[static_cast<size_t>(block * 2 * cols + begin + c)]);
        static_cast<A*>(to)[c] = static_cast<A>(total);
      }
    };
    add_up(dweight, 0);
    add_up(dbias, cols);
  });
}

}  // namespace hrm::HRM_CPU

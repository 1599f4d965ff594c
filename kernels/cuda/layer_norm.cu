#include "kernels/cuda/gpu.h"
#include "kernels/cuda/runtime.h"
#include "kernels/layer_norm.h"

namespace hrm::cuda {
namespace {

// A warp works on a row, four rows a block: no shared memory, no barrier.
constexpr int kRows = 4;
// Columns of a block that sums over rows, a thread each, and its rows.
constexpr int kColumns = 128;
constexpr int64_t kBlockRows = 256;

// The elements of a row that a lane holds, one in every 32. each 0: any width, read again from
// memory every time.
template <class T, int each>
class LaneOfRow {
 public:
  __device__ LaneOfRow(const T* row, int64_t cols) : row_(row), cols_(cols) {
    GPU_UNROLL
    for (int i = 0; i < each; ++i) {
      const int at = gpu::lane() + i * gpu::kWarp;
      values_[i] = at < cols ? gpu::load(row[at]) : 0;
    }
  }
  // f(column, element) for all of them.
  template <class F>
  __device__ void visit(const F& f) const {
    if constexpr (each > 0) {
      GPU_UNROLL
      for (int i = 0; i < each; ++i) {
        const int at = gpu::lane() + i * gpu::kWarp;
        if (at < cols_) f(at, values_[i]);
      }
    } else {
      for (int64_t at = gpu::lane(); at < cols_; at += gpu::kWarp) f(at, gpu::load(row_[at]));
    }
  }

 private:
  const T* row_;
  int64_t cols_;
  arithmetic<T> values_[each > 0 ? each : 1];
};

template <class T, int each>
__global__ void __launch_bounds__(gpu::kWarp* kRows)
    layer_norm_kernel(T* y, arithmetic<T>* mean, arithmetic<T>* rstd, const T* x,
                      const arithmetic<T>* weight, const arithmetic<T>* bias, int64_t rows,
                      int64_t cols, arithmetic<T> eps) {
  using A = arithmetic<T>;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRows + gpu::warp();
  if (row >= rows) return;
  const LaneOfRow<T, each> in(x + row * cols, cols);
  A total = 0, squares = 0;
  in.visit([&](int64_t, A v) { total += v; });
  const A middle = gpu::warp_sum(total) / static_cast<A>(cols);
  in.visit([&](int64_t, A v) { squares += (v - middle) * (v - middle); });
  const A scale = A(1) / gpu::square_root(gpu::warp_sum(squares) / static_cast<A>(cols) + eps);
  if (gpu::lane() == 0) {
    mean[row] = middle;
    rstd[row] = scale;
  }
  T* out = y + row * cols;
  in.visit([&](int64_t c, A v) { gpu::store(out[c], (v - middle) * scale * weight[c] + bias[c]); });
}

template <class T, int each>
__global__ void __launch_bounds__(gpu::kWarp* kRows)
    layer_norm_backward_kernel(T* dx, const T* dy, const T* x, const arithmetic<T>* mean,
                               const arithmetic<T>* rstd, const arithmetic<T>* weight, int64_t rows,
                               int64_t cols) {
  using A = arithmetic<T>;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRows + gpu::warp();
  if (row >= rows) return;
  const LaneOfRow<T, each> in(x + row * cols, cols);
  const T* d = dy + row * cols;
  const A middle = mean[row], scale = rstd[row];
  A total = 0, dot = 0;
  in.visit([&](int64_t c, A v) {
    const A g = gpu::load(d[c]) * weight[c];
    total += g;
    dot += g * (v - middle) * scale;
  });
  const A of_g = gpu::warp_sum(total) / static_cast<A>(cols);
  const A of_gn = gpu::warp_sum(dot) / static_cast<A>(cols);
  T* out = dx + row * cols;
  in.visit([&](int64_t c, A v) {
    const A n = (v - middle) * scale;
    gpu::store(out[c], scale * (gpu::load(d[c]) * weight[c] - of_g - n * of_gn));
  });
}

// partials[block of rows, 2, cols]: its parts of dweight and dbias, a column a thread.
template <class T>
__global__ void layer_norm_partials_kernel(arithmetic<T>* partials, const T* dy, const T* x,
                                           const arithmetic<T>* mean, const arithmetic<T>* rstd,
                                           int64_t rows, int64_t cols) {
  using A = arithmetic<T>;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  const int64_t begin = blockIdx.y * kBlockRows;
  const int64_t end = begin + kBlockRows < rows ? begin + kBlockRows : rows;
  if (column >= cols) return;
  A of_weight = 0, of_bias = 0;
  for (int64_t r = begin; r < end; ++r) {
    const A d = gpu::load(dy[r * cols + column]);
    of_weight += d * (gpu::load(x[r * cols + column]) - mean[r]) * rstd[r];
    of_bias += d;
  }
  A* part = partials + blockIdx.y * 2 * cols;
  part[column] = of_weight;
  part[cols + column] = of_bias;
}
template <class A>
__global__ void add_layer_norm_partials_kernel(A* dweight, A* dbias, const A* partials,
                                               int64_t blocks, int64_t cols) {
  for (int64_t i = gpu::first(); i < 2 * cols; i += gpu::stride()) {
    double total = 0;
    for (int64_t b = 0; b < blocks; ++b) total += static_cast<double>(partials[b * 2 * cols + i]);
    (i < cols ? dweight[i] : dbias[i - cols]) = static_cast<A>(total);
  }
}

// Calls run.operator()<each>() with a number of elements a lane for rows of this width.
template <class Run>
void by_width(int64_t cols, const Run& run) {
  if (cols <= 4 * gpu::kWarp) return run.template operator()<4>();
  if (cols <= 8 * gpu::kWarp) return run.template operator()<8>();
  if (cols <= 16 * gpu::kWarp) return run.template operator()<16>();
  run.template operator()<0>();
}

}  // namespace

void layer_norm(DType t, void* y, void* mean, void* rstd, const void* x, const void* weight,
                const void* bias, int64_t rows, int64_t cols, double eps, const Context& context) {
  if (rows == 0) return;
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    by_width(cols, [&]<int each>() {
      gpu::launch<layer_norm_kernel<T, each>>(
          gpu::blocks_for(rows, kRows, INT32_MAX), dim3(gpu::kWarp * kRows), 0, context,
          static_cast<T*>(y), static_cast<A*>(mean), static_cast<A*>(rstd),
          static_cast<const T*>(x), static_cast<const A*>(weight), static_cast<const A*>(bias),
          rows, cols, static_cast<A>(eps));
    });
  });
}

void layer_norm_backward(DType t, void* dx, void* dweight, void* dbias, const void* dy,
                         const void* x, const void* mean, const void* rstd, const void* weight,
                         int64_t rows, int64_t cols, const Context& context) {
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  HRM_CHECK(blocks <= 65535, "[layer_norm] too many rows for one launch: ", rows);
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const T *d = static_cast<const T*>(dy), *in = static_cast<const T*>(x);
    const A *m = static_cast<const A*>(mean), *scale = static_cast<const A*>(rstd);
    auto* partials = static_cast<A*>(workspace(static_cast<size_t>(blocks * 2 * cols) * sizeof(A)));
    if (rows > 0) {
      by_width(cols, [&]<int each>() {
        gpu::launch<layer_norm_backward_kernel<T, each>>(
            gpu::blocks_for(rows, kRows, INT32_MAX), dim3(gpu::kWarp * kRows), 0, context,
            static_cast<T*>(dx), d, in, m, scale, static_cast<const A*>(weight), rows, cols);
      });
      const dim3 grid(static_cast<unsigned>((cols + kColumns - 1) / kColumns),
                      static_cast<unsigned>(blocks));
      gpu::launch<layer_norm_partials_kernel<T>>(grid, dim3(kColumns), 0, context, partials, d, in,
                                                 m, scale, rows, cols);
    }
    gpu::launch<add_layer_norm_partials_kernel<A>>(
        gpu::blocks_for(2 * cols, 64), dim3(64), 0, context, static_cast<A*>(dweight),
        static_cast<A*>(dbias), static_cast<const A*>(partials), blocks, cols);
  });
}

}  // namespace hrm::cuda

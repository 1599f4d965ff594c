#include <algorithm>

#include "kernels/cuda/gpu.h"
#include "kernels/cuda/runtime.h"
#include "kernels/embedding.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 256;
constexpr int kColumns = 128;  // of a table, by the threads of a block that adds to them

template <class T>
__global__ void gather_rows_kernel(T* y, const T* table, const int32_t* ids, int64_t n, int64_t dim,
                                   arithmetic<T> scale) {
  for (int64_t i = blockIdx.x; i < n; i += gridDim.x) {
    const T* from = table + ids[i] * dim;
    for (int64_t d = threadIdx.x; d < dim; d += blockDim.x)
      gpu::store(y[i * dim + d], scale * gpu::load(from[d]));
  }
}

// A small table: block (c, b) adds the ids of chunk c to its own copy of columns [128 b, 128 b +
// 128), in shared memory; each thread owns one column, so nothing is ever shared between threads.
// partials: [chunks, vocab, dim].
template <class A, class In>
__global__ void __launch_bounds__(kColumns)
    scatter_partials_kernel(A* partials, const In* dy, const int32_t* ids, int64_t n, int64_t chunk,
                            int64_t vocab, int64_t dim) {
  GPU_DYNAMIC_SHARED(memory);
  A* sums = reinterpret_cast<A*>(memory) + threadIdx.x;  // [vocab][kColumns]
  const int64_t column = static_cast<int64_t>(blockIdx.y) * kColumns + threadIdx.x;
  if (column >= dim) return;
  for (int64_t v = 0; v < vocab; ++v) sums[v * kColumns] = 0;
  const int64_t begin = blockIdx.x * chunk, end = begin + chunk < n ? begin + chunk : n;
  for (int64_t i = begin; i < end; ++i)
    sums[ids[i] * kColumns] += static_cast<A>(gpu::load(dy[i * dim + column]));
  for (int64_t v = 0; v < vocab; ++v)
    partials[(blockIdx.x * vocab + v) * dim + column] = sums[v * kColumns];
}
template <class T, class A>
__global__ void add_chunks_kernel(T* table, const A* partials, int64_t chunks, int64_t size,
                                  A scale) {
  for (int64_t i = gpu::first(); i < size; i += gpu::stride()) {
    A total = 0;
    for (int64_t c = 0; c < chunks; ++c) total += partials[c * size + i];
    gpu::store(table[i], gpu::load(table[i]) + scale * total);
  }
}

// Any table: a thread owns a column and adds in the order of the ids.
template <class T, class In>
__global__ void scatter_columns_kernel(T* table, const In* dy, const int32_t* ids, int64_t n,
                                       int64_t dim, arithmetic<T> scale) {
  using A = arithmetic<T>;
  for (int64_t d = gpu::first(); d < dim; d += gpu::stride())
    for (int64_t i = 0; i < n; ++i) {
      T& target = table[ids[i] * dim + d];
      gpu::store(target, gpu::load(target) + scale * static_cast<A>(gpu::load(dy[i * dim + d])));
    }
}

template <class T>
__global__ void gather_last_kernel(T* y, const T* x, const int32_t* index, int64_t n, int64_t cols,
                                   int64_t picks) {
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) y[i] = x[i / picks * cols + index[i]];
}

template <class T>
__global__ void scatter_add_last_kernel(T* x, const T* dy, const int32_t* index, int64_t rows,
                                        int64_t cols, int64_t picks) {
  for (int64_t r = gpu::first(); r < rows; r += gpu::stride())
    for (int64_t j = 0; j < picks; ++j) {
      T& target = x[r * cols + index[r * picks + j]];
      gpu::store(target, gpu::load(target) + gpu::load(dy[r * picks + j]));
    }
}

template <class T, class In>
void scatter(T* table, const In* dy, const int32_t* ids, int64_t n, int64_t dim, int64_t vocab,
             arithmetic<T> scale, const Context& context) {
  using A = arithmetic<T>;
  const size_t shared = static_cast<size_t>(vocab) * kColumns * sizeof(A);
  if (shared > 48 * 1024)
    return gpu::launch<scatter_columns_kernel<T, In>>(gpu::blocks_for(dim, 64), dim3(64), 0,
                                                      context, table, dy, ids, n, dim, scale);
  const int64_t chunks = std::min<int64_t>(128, (n + 63) / 64), chunk = (n + chunks - 1) / chunks;
  auto* partials =
      static_cast<A*>(workspace(static_cast<size_t>(chunks * vocab * dim) * sizeof(A)));
  const dim3 grid(static_cast<unsigned>(chunks),
                  static_cast<unsigned>((dim + kColumns - 1) / kColumns));
  gpu::launch<scatter_partials_kernel<A, In>>(grid, dim3(kColumns), shared, context, partials, dy,
                                              ids, n, chunk, vocab, dim);
  gpu::launch<add_chunks_kernel<T, A>>(gpu::blocks_for(vocab * dim, 64), dim3(64), 0, context,
                                       table, static_cast<const A*>(partials), chunks, vocab * dim,
                                       scale);
}

}  // namespace

void gather_rows(DType t, void* y, const void* table, const int32_t* ids, int64_t n, int64_t dim,
                 double scale, const Context& context) {
  if (n * dim == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<gather_rows_kernel<T>>(gpu::blocks_for(n, 1), gpu::threads_for(dim), 0, context,
                                       static_cast<T*>(y), static_cast<const T*>(table), ids, n,
                                       dim, static_cast<arithmetic<T>>(scale));
  });
}

void scatter_add_rows(DType t, void* table, DType t_in, const void* dy, const int32_t* ids,
                      int64_t n, int64_t dim, int64_t vocab, double scale, const Context& context) {
  if (n * dim == 0) return;
  visit_float(t, [&]<class T>() {
    visit_float(t_in, [&]<class In>() {
      scatter(static_cast<T*>(table), static_cast<const In*>(dy), ids, n, dim, vocab,
              static_cast<arithmetic<T>>(scale), context);
    });
  });
}

void gather_last(DType t, void* y, const void* x, const int32_t* index, int64_t rows, int64_t cols,
                 int64_t picks, const Context& context) {
  if (rows * picks == 0) return;
  visit_any(t, [&]<class T>() {
    gpu::launch<gather_last_kernel<T>>(gpu::blocks_for(rows * picks, kBlock), dim3(kBlock), 0,
                                       context, static_cast<T*>(y), static_cast<const T*>(x), index,
                                       rows * picks, cols, picks);
  });
}

void scatter_add_last(DType t, void* x, const void* dy, const int32_t* index, int64_t rows,
                      int64_t cols, int64_t picks, const Context& context) {
  if (rows == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<scatter_add_last_kernel<T>>(gpu::blocks_for(rows, kBlock), dim3(kBlock), 0, context,
                                            static_cast<T*>(x), static_cast<const T*>(dy), index,
                                            rows, cols, picks);
  });
}

}  // namespace hrm::cuda

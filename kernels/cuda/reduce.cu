// Every sum has a fixed order: lanes and blocks add in a pattern that depends on the sizes alone.
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/runtime.h"
#include "kernels/formulas.h"
#include "kernels/reduce.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 256;
constexpr int kPartials = 1024;  // blocks whose sums one block adds up

// A block for a sum of n terms: 32 to 1024 threads.
dim3 block_for(int64_t n) {
  unsigned threads = 32;
  while (threads < 1024 && threads * 4 < n) threads *= 2;
  return dim3(threads);
}

// y[outer, inner] = sum over the middle axis, a block each.
template <class T>
__global__ void sum_rows_kernel(T* y, const T* x, int64_t reduced, int64_t inner) {
  GPU_SHARED(scratch, double[gpu::kWarp]);
  const int64_t output = blockIdx.x;
  const T* row = x + output / inner * reduced * inner + output % inner;
  double total = 0;
  for (int64_t i = threadIdx.x; i < reduced; i += blockDim.x)
    total += static_cast<double>(gpu::load(row[i * inner]));
  total = gpu::block_sum(total, scratch);
  if (threadIdx.x == 0) gpu::store(y[output], total);
}

// The same, a thread each: a warp reads values that lie side by side.
template <class T>
__global__ void sum_columns_kernel(T* y, const T* x, int64_t outputs, int64_t reduced,
                                   int64_t inner) {
  for (int64_t i = gpu::first(); i < outputs; i += gpu::stride()) {
    const T* column = x + i / inner * reduced * inner + i % inner;
    double total = 0;
    for (int64_t r = 0; r < reduced; ++r)
      total += static_cast<double>(gpu::load(column[r * inner]));
    gpu::store(y[i], total);
  }
}

template <class T>
__global__ void max_kernel(T* y, int32_t* index, const T* x, int64_t outputs, int64_t reduced,
                           int64_t inner) {
  for (int64_t i = gpu::first(); i < outputs; i += gpu::stride()) {
    const T* column = x + i / inner * reduced * inner + i % inner;
    auto largest = gpu::load(column[0]);
    int64_t best = 0;
    for (int64_t r = 1; r < reduced; ++r) {
      const auto v = gpu::load(column[r * inner]);
      if (v > largest) {
        largest = v;
        best = r;
      }
    }
    gpu::store(y[i], largest);
    if (index) index[i] = static_cast<int32_t>(best);
  }
}

template <class T>
__global__ void max_backward_kernel(T* dx, const T* dy, const int32_t* index, int64_t n,
                                    int64_t reduced, int64_t inner) {
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const int64_t r = i / inner % reduced, output = i / (inner * reduced) * inner + i % inner;
    arithmetic<T> g = 0;
    if (index[output] == r) g = gpu::load(dy[output]);
    gpu::store(dx[i], g);
  }
}

// A warp a row.
template <class T>
__global__ void softmax_kernel(T* y, const T* x, int64_t cols, bool log) {
  using A = arithmetic<T>;
  const T* in = x + static_cast<int64_t>(blockIdx.x) * cols;
  T* out = y + static_cast<int64_t>(blockIdx.x) * cols;
  A largest = gpu::load(in[0]), total = 0;
  for (int64_t c = gpu::lane(); c < cols; c += gpu::kWarp)
    largest = gpu::larger(largest, gpu::load(in[c]));
  largest = gpu::warp_max(largest);
  for (int64_t c = gpu::lane(); c < cols; c += gpu::kWarp)
    total += gpu::exponential(gpu::load(in[c]) - largest);
  total = gpu::warp_sum(total);
  const A lse = gpu::logarithm(total);
  for (int64_t c = gpu::lane(); c < cols; c += gpu::kWarp) {
    const A shifted = gpu::load(in[c]) - largest;
    gpu::store(out[c], log ? shifted - lse : gpu::exponential(shifted) / total);
  }
}

template <class T>
__global__ void softmax_backward_kernel(T* dx, const T* y, const T* dy, int64_t cols, bool log) {
  using A = arithmetic<T>;
  const int64_t start = static_cast<int64_t>(blockIdx.x) * cols;
  A total = 0;
  for (int64_t c = gpu::lane(); c < cols; c += gpu::kWarp)
    total += gpu::load(dy[start + c]) * (log ? A(1) : gpu::load(y[start + c]));
  total = gpu::warp_sum(total);
  for (int64_t c = gpu::lane(); c < cols; c += gpu::kWarp) {
    const A p = gpu::load(y[start + c]), g = gpu::load(dy[start + c]);
    gpu::store(dx[start + c], log ? g - gpu::exponential(p) * total : p * (g - total));
  }
}

template <class T>
__global__ void flag_nonfinite_kernel(int32_t* flag, const T* x, int64_t n) {
  bool bad = false;
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const auto v = gpu::load(x[i]);
    bad |= !(v - v == 0);  // 0 for a finite value, else NaN
  }
  if (bad) atomicOr(flag, 1);
}

template <class T>
__global__ void square_partials_kernel(double* partials, const T* x, int64_t n) {
  GPU_SHARED(scratch, double[gpu::kWarp]);
  double total = 0;
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const auto v = static_cast<double>(gpu::load(x[i]));
    total += v * v;
  }
  total = gpu::block_sum(total, scratch);
  if (threadIdx.x == 0) partials[blockIdx.x] = total;
}
__global__ void add_partials_kernel(double* total, const double* partials, int count) {
  GPU_SHARED(scratch, double[gpu::kWarp]);
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kBlock) sum += partials[i];
  sum = gpu::block_sum(sum, scratch);
  if (threadIdx.x == 0) *total += sum;
}

// Whether sums are worth a block each although their terms lie apart: when those of a warp would
// not lie side by side either, and there are few.
bool few_and_long(int64_t outputs, int64_t reduced, int64_t inner) {
  return inner < gpu::kWarp && reduced >= 64 && outputs <= 4096;
}

}  // namespace

void sum(DType t, void* y, const void* x, int64_t outer, int64_t reduced, int64_t inner,
         const Context& context) {
  if (outer * inner == 0) return;
  visit_any(t, [&]<class T>() {
    T* out = static_cast<T*>(y);
    const T* in = static_cast<const T*>(x);
    if (inner == 1 || few_and_long(outer * inner, reduced, inner))
      gpu::launch<sum_rows_kernel<T>>(dim3(static_cast<unsigned>(outer * inner)),
                                      block_for(reduced), 0, context, out, in, reduced, inner);
    else
      gpu::launch<sum_columns_kernel<T>>(gpu::blocks_for(outer * inner, kBlock), dim3(kBlock), 0,
                                         context, out, in, outer * inner, reduced, inner);
  });
}

void max(DType t, void* y, int32_t* index, const void* x, int64_t outer, int64_t reduced,
         int64_t inner, const Context& context) {
  if (outer * inner == 0) return;
  visit_any(t, [&]<class T>() {
    gpu::launch<max_kernel<T>>(gpu::blocks_for(outer * inner, kBlock), dim3(kBlock), 0, context,
                               static_cast<T*>(y), index, static_cast<const T*>(x), outer * inner,
                               reduced, inner);
  });
}

void max_backward(DType t, void* dx, const void* dy, const int32_t* index, int64_t outer,
                  int64_t reduced, int64_t inner, const Context& context) {
  const int64_t n = outer * reduced * inner;
  if (n == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<max_backward_kernel<T>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                                        static_cast<T*>(dx), static_cast<const T*>(dy), index, n,
                                        reduced, inner);
  });
}

void softmax(DType t, void* y, const void* x, int64_t rows, int64_t cols, bool log,
             const Context& context) {
  if (rows == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<softmax_kernel<T>>(dim3(static_cast<unsigned>(rows)), dim3(gpu::kWarp), 0, context,
                                   static_cast<T*>(y), static_cast<const T*>(x), cols, log);
  });
}

void softmax_backward(DType t, void* dx, const void* y, const void* dy, int64_t rows, int64_t cols,
                      bool log, const Context& context) {
  if (rows == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<softmax_backward_kernel<T>>(dim3(static_cast<unsigned>(rows)), dim3(gpu::kWarp), 0,
                                            context, static_cast<T*>(dx), static_cast<const T*>(y),
                                            static_cast<const T*>(dy), cols, log);
  });
}

void flag_nonfinite(DType t, int32_t* flag, const void* x, int64_t n, const Context& context) {
  if (n == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<flag_nonfinite_kernel<T>>(gpu::blocks_for(n, kBlock * 8), dim3(kBlock), 0, context,
                                          flag, static_cast<const T*>(x), n);
  });
}

void add_sum_of_squares(DType t, double* total, const void* x, int64_t n, const Context& context) {
  if (n == 0) return;
  visit_float(t, [&]<class T>() {
    const dim3 blocks = gpu::blocks_for(n, kBlock * 8, kPartials);
    auto* partials = static_cast<double*>(workspace(kPartials * sizeof(double)));
    gpu::launch<square_partials_kernel<T>>(blocks, dim3(kBlock), 0, context, partials,
                                           static_cast<const T*>(x), n);
    gpu::launch<add_partials_kernel>(dim3(1), dim3(kBlock), 0, context, total,
                                     static_cast<const double*>(partials),
                                     static_cast<int>(blocks.x));
  });
}

}  // namespace hrm::cuda

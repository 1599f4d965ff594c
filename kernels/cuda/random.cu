// The numbers are those of the CPU backend: counter-based draws, then the same formulas in double.
#include "kernels/cuda/gpu.h"
#include "kernels/formulas.h"
#include "kernels/random.h"

namespace hrm::cuda {
namespace {

struct Uniform {
  double low, high;
  __device__ double operator()(double u) const { return low + (high - low) * u; }
};
struct Normal {
  double std;
  // Shifted by half a step, so that the argument is never exactly -1.
  __device__ double operator()(double u) const {
    return std * std::numbers::sqrt2 * erfinv(2 * u - 1 + 0x1p-53);
  }
};
struct TruncatedNormal {
  double comp, edge;
  __device__ double operator()(double u) const {
    const double z = std::numbers::sqrt2 * comp * erfinv((2 * u - 1) * edge);
    return fmin(fmax(z, -2 * comp), 2 * comp);
  }
};
struct Integer {
  int32_t low;
  double range;
  __device__ int32_t operator()(double u) const { return low + static_cast<int32_t>(u * range); }
};

template <class T, class F>
__global__ void fill_random_kernel(T* y, int64_t n, RandomKey key, F f) {
  for (int64_t i = gpu::first(); i < n; i += gpu::stride())
    gpu::store(y[i], f(philox_uniform(key.seed, key.offset + static_cast<uint64_t>(i))));
}

template <class T, class F>
void fill_random(void* y, int64_t n, const RandomKey& key, const F& f, const Context& context) {
  if (n == 0) return;
  gpu::launch<fill_random_kernel<T, F>>(gpu::blocks_for(n, 256), dim3(256), 0, context,
                                        static_cast<T*>(y), n, key, f);
}

// A thread a row.
template <class T>
__global__ void multinomial_kernel(int32_t* index, const T* weights, const double* uniform,
                                   int64_t rows, int64_t cols) {
  for (int64_t r = gpu::first(); r < rows; r += gpu::stride()) {
    const T* row = weights + r * cols;
    index[r] = draw_from([row](int64_t j) { return static_cast<double>(gpu::load(row[j])); }, cols,
                         uniform[r]);
  }
}

}  // namespace

void fill_uniform(DType t, void* y, int64_t n, double low, double high, const RandomKey& key,
                  const Context& context) {
  visit_float(t, [&]<class T>() { fill_random<T>(y, n, key, Uniform{low, high}, context); });
}

void fill_normal(DType t, void* y, int64_t n, double std, const RandomKey& key,
                 const Context& context) {
  visit_float(t, [&]<class T>() { fill_random<T>(y, n, key, Normal{std}, context); });
}

void fill_truncated_normal(DType t, void* y, int64_t n, double std, const RandomKey& key,
                           const Context& context) {
  const TruncatedNormal f{1.1368472343385565 * std, std::erf(std::numbers::sqrt2)};
  visit_float(t, [&]<class T>() { fill_random<T>(y, n, key, f, context); });
}

void fill_randint(int32_t* y, int64_t n, int32_t low, int32_t high, const RandomKey& key,
                  const Context& context) {
  fill_random<int32_t>(y, n, key, Integer{low, static_cast<double>(high) - low + 1}, context);
}

void multinomial(int32_t* index, DType t, const void* weights, const double* uniform, int64_t rows,
                 int64_t cols, const Context& context) {
  if (rows == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<multinomial_kernel<T>>(gpu::blocks_for(rows, 128), dim3(128), 0, context, index,
                                       static_cast<const T*>(weights), uniform, rows, cols);
  });
}

}  // namespace hrm::cuda

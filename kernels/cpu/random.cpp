#include "kernels/random.h"

#include "kernels/cpu/parallel.h"
#include "kernels/formulas.h"

namespace hrm::HRM_CPU {
namespace {

// y[i] = f(draw i), rounded once.
template <class F>
void fill_with(DType t, void* y, int64_t n, const F& f) {
  visit_float(t, [&]<class T>() {
    parallel_chunks(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        static_cast<T*>(y)[i] = static_cast<T>(static_cast<arithmetic<T>>(f(i)));
    });
  });
}

}  // namespace

void fill_uniform(DType t, void* y, int64_t n, double low, double high, const RandomKey& key,
                  const Context&) {
  fill_with(t, y, n, [&](int64_t i) {
    return low + (high - low) * philox_uniform(key.seed, key.offset + static_cast<uint64_t>(i));
  });
}

void fill_normal(DType t, void* y, int64_t n, double std, const RandomKey& key, const Context&) {
  fill_with(t, y, n, [&](int64_t i) {
    // Shifted by half a step, so that u is never exactly -1.
    const double u = 2 * philox_uniform(key.seed, key.offset + static_cast<uint64_t>(i)) - 1;
    return std * std::numbers::sqrt2 * erfinv(u + 0x1p-53);
  });
}

void fill_truncated_normal(DType t, void* y, int64_t n, double std, const RandomKey& key,
                           const Context&) {
  const double comp = 1.1368472343385565 * std;       // std of the normal before truncation at 2
  const double edge = std::erf(std::numbers::sqrt2);  // P(|z| < 2)
  fill_with(t, y, n, [&](int64_t i) {
    const double u = philox_uniform(key.seed, key.offset + static_cast<uint64_t>(i));
    const double z = std::numbers::sqrt2 * comp * erfinv((2 * u - 1) * edge);
    return std::min(std::max(z, -2 * comp), 2 * comp);
  });
}

void fill_randint(int32_t* y, int64_t n, int32_t low, int32_t high, const RandomKey& key,
                  const Context&) {
  const double range = static_cast<double>(high) - low + 1;
  for (int64_t i = 0; i < n; ++i) {
    const double u = philox_uniform(key.seed, key.offset + static_cast<uint64_t>(i));
    y[i] = low + static_cast<int32_t>(u * range);
  }
}

void multinomial(int32_t* index, DType t, const void* weights, const double* uniform, int64_t rows,
                 int64_t cols, const Context&) {
  visit_float(t, [&]<class T>() {
    parallel_for(rows, cols, [&](int64_t r) {
      const T* row = static_cast<const T*>(weights) + r * cols;
      index[r] =
          draw_from([row](int64_t j) { return static_cast<double>(row[j]); }, cols, uniform[r]);
    });
  });
}

}  // namespace hrm::HRM_CPU

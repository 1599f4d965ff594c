#include "kernels/reduce.h"

#include <cmath>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::HRM_CPU {
namespace {

// Sum of f(x[0..n)) in f64: eight running sums per chunk, chunks added in order.
template <class T, class F>
double chunked_sum(const T* x, int64_t n, const F& f) {
  const int64_t chunks = (n + kChunk - 1) / kChunk;
  std::vector<double> partial(chunks);
  parallel_for(chunks, kChunk, [&](int64_t c) {
    const int64_t begin = c * kChunk, end = std::min(n, begin + kChunk);
    double lanes[8] = {};
    for (int64_t i = begin; i < end; ++i) lanes[i & 7] += f(static_cast<double>(x[i]));
    for (double lane : lanes) partial[c] += lane;
  });
  double total = 0;
  for (double p : partial) total += p;
  return total;
}

}  // namespace

void sum(DType t, void* y, const void* x, int64_t outer, int64_t reduced, int64_t inner,
         const Context&) {
  visit_any(t, [&]<class T>() {
    const T* in = static_cast<const T*>(x);
    T* out = static_cast<T*>(y);
    const auto store = [](double v) {
      if constexpr (std::is_same_v<T, bfloat16>)
        return T(static_cast<float>(v));
      else
        return static_cast<T>(v);
    };
    if (outer * inner == 1) {
      out[0] = store(chunked_sum(in, reduced, [](double v) { return v; }));
      return;
    }
    if (inner == 1) {
      parallel_for(outer, reduced, [&](int64_t i) {
        double total = 0;
        for (int64_t r = 0; r < reduced; ++r) total += static_cast<double>(in[i * reduced + r]);
        out[i] = store(total);
      });
      return;
    }
    // Columns side by side are summed side by side, each in the order of its rows.
    constexpr int64_t kColumns = 32;
    const int64_t blocks = (inner + kColumns - 1) / kColumns;
    parallel_for(outer * blocks, reduced * std::min(inner, kColumns), [&](int64_t i) {
      const int64_t first = i % blocks * kColumns, columns = std::min(kColumns, inner - first);
      const T* from = in + i / blocks * reduced * inner + first;
      double totals[kColumns] = {};
      for (int64_t r = 0; r < reduced; ++r)
        for (int64_t c = 0; c < columns; ++c) totals[c] += static_cast<double>(from[r * inner + c]);
      for (int64_t c = 0; c < columns; ++c) out[i / blocks * inner + first + c] = store(totals[c]);
    });
  });
}

void max(DType t, void* y, int32_t* index, const void* x, int64_t outer, int64_t reduced,
         int64_t inner, const Context&) {
  visit_any(t, [&]<class T>() {
    const T* in = static_cast<const T*>(x);
    parallel_for(outer * inner, reduced, [&](int64_t i) {
      const T* column = in + i / inner * reduced * inner + i % inner;
      int64_t best = 0;
      for (int64_t r = 1; r < reduced; ++r)
        if (column[r * inner] > column[best * inner]) best = r;
      static_cast<T*>(y)[i] = column[best * inner];
      if (index) index[i] = static_cast<int32_t>(best);
    });
  });
}

void max_backward(DType t, void* dx, const void* dy, const int32_t* index, int64_t outer,
                  int64_t reduced, int64_t inner, const Context&) {
  visit_float(t, [&]<class T>() {
    parallel_for(outer * inner, reduced, [&](int64_t i) {
      T* column = static_cast<T*>(dx) + i / inner * reduced * inner + i % inner;
      for (int64_t r = 0; r < reduced; ++r) column[r * inner] = T(0.0f);
      column[index[i] * inner] = static_cast<const T*>(dy)[i];
    });
  });
}

void softmax(DType t, void* y, const void* x, int64_t rows, int64_t cols, bool log,
             const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    parallel_for(rows, cols, [&](int64_t r) {
      const T* in = static_cast<const T*>(x) + r * cols;
      T* out = static_cast<T*>(y) + r * cols;
      A largest = static_cast<A>(in[0]), total = 0;
      for (int64_t c = 1; c < cols; ++c) largest = std::max(largest, static_cast<A>(in[c]));
      for (int64_t c = 0; c < cols; ++c) total += fast_exp(static_cast<A>(in[c]) - largest);
      const A lse = std::log(total);
      for (int64_t c = 0; c < cols; ++c) {
        const A shifted = static_cast<A>(in[c]) - largest;
        assign(out[c], log ? shifted - lse : fast_exp(shifted) / total);
      }
    });
  });
}

void softmax_backward(DType t, void* dx, const void* y, const void* dy, int64_t rows, int64_t cols,
                      bool log, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    parallel_for(rows, cols, [&](int64_t r) {
      const T* out = static_cast<const T*>(y) + r * cols;
      const T* g = static_cast<const T*>(dy) + r * cols;
      T* d = static_cast<T*>(dx) + r * cols;
      A total = 0;
      for (int64_t c = 0; c < cols; ++c)
        total += static_cast<A>(g[c]) * (log ? A(1) : static_cast<A>(out[c]));
      for (int64_t c = 0; c < cols; ++c) {
        const A p = static_cast<A>(out[c]), gc = static_cast<A>(g[c]);
        assign(d[c], log ? gc - fast_exp(p) * total : p * (gc - total));
      }
    });
  });
}

void flag_nonfinite(DType t, int32_t* flag, const void* x, int64_t n, const Context&) {
  visit_float(t, [&]<class T>() {
    const T* in = static_cast<const T*>(x);
    const int64_t chunks = (n + kChunk - 1) / kChunk;
    std::vector<uint8_t> bad(chunks);
    parallel_for(chunks, kChunk, [&](int64_t c) {
      const int64_t begin = c * kChunk, end = std::min(n, begin + kChunk);
      // x - x is 0 for a finite x and NaN otherwise; the sum stays 0 only if all are finite.
      arithmetic<T> total = 0;
#pragma omp simd reduction(+ : total)
      for (int64_t i = begin; i < end; ++i) {
        const auto v = static_cast<arithmetic<T>>(in[i]);
        total += v - v;
      }
      bad[c] = total != 0;
    });
    for (uint8_t b : bad)
      if (b) *flag = 1;
  });
}

void add_sum_of_squares(DType t, double* total, const void* x, int64_t n, const Context&) {
  visit_float(t, [&]<class T>() {
    *total += chunked_sum(static_cast<const T*>(x), n, [](double v) { return v * v; });
  });
}

}  // namespace hrm::HRM_CPU

#include "kernels/attention.h"

#include <cmath>

#include "kernels/cpu/gemm_core.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::cpu {
namespace {

// Rounds an arithmetic value to what the storage type T can hold.
template <class T>
arithmetic<T> rounded(arithmetic<T> v) {
  return static_cast<arithmetic<T>>(static_cast<T>(v));
}

// One (batch, head): pointers into qkv and friends, and the scratch it works in.
template <class T>
struct Head {
  using A = arithmetic<T>;
  Head(const AttentionShape& shape, int64_t index)
      : seq(shape.seq),
        dim(shape.head_dim),
        width(shape.heads * shape.head_dim),
        b(index / shape.heads),
        h(index % shape.heads) {}

  // Reads part 0, 1, 2 (q, k, v) as [seq, dim], rotated if tables are given.
  void load(A* out, const T* qkv, int part, const A* cos, const A* sin) const {
    for (int64_t s = 0; s < seq; ++s) {
      const T* in = qkv + (b * seq + s) * 3 * width + part * width + h * dim;
      A* row = out + s * dim;
      for (int64_t d = 0; d < dim; ++d) row[d] = static_cast<A>(in[d]);
      if (!cos || part == 2) continue;
      const A *c = cos + s * dim, *sn = sin + s * dim;
      const int64_t half = dim / 2;
      for (int64_t d = 0; d < half; ++d) {
        const A x = row[d], y = row[d + half];
        row[d] = rounded<T>(x * c[d] - y * sn[d]);
        row[d + half] = rounded<T>(y * c[d + half] + x * sn[d + half]);
      }
    }
  }
  // Writes the gradient of a part, rotated back.
  void store(T* dqkv, const A* grad, int part, const A* cos, const A* sin) const {
    for (int64_t s = 0; s < seq; ++s) {
      T* out = dqkv + (b * seq + s) * 3 * width + part * width + h * dim;
      const A* row = grad + s * dim;
      if (!cos || part == 2) {
        for (int64_t d = 0; d < dim; ++d) out[d] = static_cast<T>(row[d]);
        continue;
      }
      const A *c = cos + s * dim, *sn = sin + s * dim;
      const int64_t half = dim / 2;
      for (int64_t d = 0; d < half; ++d) {
        out[d] = static_cast<T>(row[d] * c[d] + row[d + half] * sn[d + half]);
        out[d + half] = static_cast<T>(row[d + half] * c[d + half] - row[d] * sn[d]);
      }
    }
  }
  // The head's slice of a [batch, seq, heads * dim] tensor.
  void load_slice(A* out, const T* from) const {
    for (int64_t s = 0; s < seq; ++s)
      for (int64_t d = 0; d < dim; ++d)
        out[s * dim + d] = static_cast<A>(from[(b * seq + s) * width + h * dim + d]);
  }

  int64_t seq, dim, width, b, h;
};

}  // namespace

void attention(DType t, void* out, void* stats, const void* qkv, const void* cos, const void* sin,
               const AttentionShape& shape, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const int64_t n = shape.seq, d = shape.head_dim;
    const A scale = A(1) / std::sqrt(static_cast<A>(d));
    parallel_for(shape.batch * shape.heads, n * (n + d), [&](int64_t index) {
      static thread_local Scratch<A> scratch;
      A* q = scratch.get(4 * n * d + n * n);
      A *k = q + n * d, *v = k + n * d, *o = v + n * d, *p = o + n * d;
      const Head<T> head(shape, index);
      const A *c = static_cast<const A*>(cos), *s = static_cast<const A*>(sin);
      head.load(q, static_cast<const T*>(qkv), 0, c, s);
      head.load(k, static_cast<const T*>(qkv), 1, c, s);
      head.load(v, static_cast<const T*>(qkv), 2, c, s);
      serial_gemm(p, n, q, d, 1, k, 1, d, n, n, d, false);  // p = q k'
      for (int64_t i = 0; i < n; ++i) {
        A* row = p + i * n;
        A largest = row[0], total = 0;
        for (int64_t j = 1; j < n; ++j) largest = std::max(largest, row[j]);
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < n; ++j) {
          row[j] = fast_exp((row[j] - largest) * scale);
          total += row[j];
        }
        const A inverse = A(1) / total;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) row[j] = rounded<T>(row[j] * inverse);
        A* stat = static_cast<A*>(stats) + (index * n + i) * 2;
        stat[0] = largest, stat[1] = total;
      }
      serial_gemm(o, d, p, n, 1, v, d, 1, n, d, n, false);  // o = p v
      for (int64_t i = 0; i < n; ++i) {
        T* row = static_cast<T*>(out) + (head.b * n + i) * head.width + head.h * d;
        for (int64_t j = 0; j < d; ++j) row[j] = static_cast<T>(o[i * d + j]);
      }
    });
  });
}

void attention_backward(DType t, void* dqkv, const void* dout, const void* stats, const void* qkv,
                        const void* cos, const void* sin, const AttentionShape& shape,
                        const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const int64_t n = shape.seq, d = shape.head_dim;
    const A scale = A(1) / std::sqrt(static_cast<A>(d));
    parallel_for(shape.batch * shape.heads, 2 * n * (n + d), [&](int64_t index) {
      static thread_local Scratch<A> scratch;
      A* q = scratch.get(5 * n * d + 2 * n * n);
      A *k = q + n * d, *v = k + n * d, *go = v + n * d, *grad = go + n * d;
      A *p = grad + n * d, *dp = p + n * n;
      const Head<T> head(shape, index);
      const A *c = static_cast<const A*>(cos), *s = static_cast<const A*>(sin);
      head.load(q, static_cast<const T*>(qkv), 0, c, s);
      head.load(k, static_cast<const T*>(qkv), 1, c, s);
      head.load(v, static_cast<const T*>(qkv), 2, c, s);
      head.load_slice(go, static_cast<const T*>(dout));
      T* result = static_cast<T*>(dqkv);

      serial_gemm(p, n, q, d, 1, k, 1, d, n, n, d, false);    // scores again
      serial_gemm(dp, n, go, d, 1, v, 1, d, n, n, d, false);  // dp = dout v'
      for (int64_t i = 0; i < n; ++i) {
        A *row = p + i * n, *drow = dp + i * n;
        const A* stat = static_cast<const A*>(stats) + (index * n + i) * 2;
        const A largest = stat[0], inverse = A(1) / stat[1];
        // The same probabilities weigh the mean, so that it cancels where one of them is 1 (rowsum
        // of dout out, its equal on paper, would not).
        A mean = 0;
#pragma omp simd reduction(+ : mean)
        for (int64_t j = 0; j < n; ++j) {
          row[j] = fast_exp((row[j] - largest) * scale) * inverse;
          mean += row[j] * drow[j];
        }
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) {
          drow[j] = row[j] * (drow[j] - mean) * scale;  // gradient of q k'
          row[j] = rounded<T>(row[j]);
        }
      }
      serial_gemm(grad, d, dp, n, 1, k, d, 1, n, d, n, false);  // dq = ds k
      head.store(result, grad, 0, c, s);
      serial_gemm(grad, d, dp, 1, n, q, d, 1, n, d, n, false);  // dk = ds' q
      head.store(result, grad, 1, c, s);
      serial_gemm(grad, d, p, 1, n, go, d, 1, n, d, n, false);  // dv = p' dout
      head.store(result, grad, 2, c, s);
    });
  });
}

}  // namespace hrm::cpu

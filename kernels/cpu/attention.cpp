#include "kernels/attention.h"

#include <cmath>
#include <limits>

#include "kernels/cpu/dropout_factors.h"
#include "kernels/cpu/gemm_core.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::HRM_CPU {
namespace {

// Query rows that are worked on at a time: their scores against every key stay in the second-level
// cache, whatever the sequence length.
constexpr int64_t kQueryRows = 16 * kPanelRows;

// One head of one batch row: where it lies in qkv and out, and its products. D is the head's size
// if it is known at compile time, else 0.
template <class T, int D>
struct Head {
  using A = arithmetic<T>;

  Head(const AttentionShape& shape, int64_t index, const void* cos_table, const void* sin_table)
      : n(shape.seq),
        queries(shape.asked()),
        d(D ? D : shape.head_dim),
        width(shape.heads * shape.head_dim),
        first(index / shape.heads * n),
        column(index % shape.heads * d),
        cos(static_cast<const A*>(cos_table)),
        sin(static_cast<const A*>(sin_table)),
        drops(shape.dropout.p > 0),
        draws_of_a_row(shape.draws_of_a_row()),
        first_draw(static_cast<uint64_t>(index * n * draws_of_a_row)) {
    if (drops) draws = dropout_draws(shape.dropout);
  }

  // Padded row length of a block of scores, so that its loops have no remainder.
  int64_t score_row() const { return whole_vectors<A>(n); }

  const T* part(const void* qkv, int which, int64_t s) const {
    return static_cast<const T*>(qkv) + (first + s) * 3 * width + which * width + column;
  }
  // Row s of part 0, 1, 2 (q, k, v), rotated where RoPE applies.
  void load_row(A* out, const void* qkv, int which, int64_t s) const {
    const T* in = part(qkv, which, s);
    const int64_t size = D ? D : d, half = size / 2;
    if (!cos || which == 2) {
      for (int64_t i = 0; i < size; ++i) out[i] = static_cast<A>(in[i]);
      return;
    }
    const A *c = cos + s * size, *sn = sin + s * size;
    for (int64_t i = 0; i < half; ++i) {
      const A x = static_cast<A>(in[i]), y = static_cast<A>(in[i + half]);
      out[i] = rounded<T>(x * c[i] - y * sn[i]);
      out[i + half] = rounded<T>(y * c[i + half] + x * sn[i + half]);
    }
  }
  void load(A* out, const void* qkv, int which) const {
    for (int64_t s = 0; s < n; ++s) load_row(out + s * d, qkv, which, s);
  }
  // The head's columns of a [batch, seq, heads * head_dim] tensor.
  void load_slice(A* out, const void* from) const {
    for (int64_t s = 0; s < n; ++s) {
      const T* in = static_cast<const T*>(from) + (first + s) * width + column;
      for (int64_t i = 0; i < (D ? D : d); ++i) out[s * d + i] = static_cast<A>(in[i]);
    }
  }
  // Writes the gradient of q or k, rotated back, or of v.
  void store(void* dqkv, const A* grad, int which) const {
    const int64_t size = D ? D : d, half = size / 2;
    for (int64_t s = 0; s < n; ++s) {
      T* out = const_cast<T*>(part(dqkv, which, s));
      const A* row = grad + s * size;
      if (!cos || which == 2) {
        for (int64_t i = 0; i < size; ++i) assign(out[i], row[i]);
        continue;
      }
      const A *c = cos + s * size, *sn = sin + s * size;
      for (int64_t i = 0; i < half; ++i) {
        assign(out[i], row[i] * c[i] + row[i + half] * sn[i + half]);
        assign(out[i + half], row[i + half] * c[i + half] - row[i] * sn[i]);
      }
    }
  }
  // [n, d] as panels of the keys' columns (transposed: [d][keys]) or of its own ([n][d]).
  void pack_transposed(A* panels, const A* rows) const { pack_panels(panels, rows, 1, d, n, d); }
  void pack(A* panels, const A* rows) const { pack_panels(panels, rows, d, 1, d, n); }
  // scores [count, score_row] = rows [count, d] times transposed panels. What lies between n and
  // score_row is 0.
  void against_keys(A* scores, const A* rows, int64_t count, const A* panels) const {
    tile_product(scores, score_row(), rows, d, 1, panels, count, score_row(), d, false);
  }

  // Room for the factors of a row of probabilities; none without dropout.
  int64_t factor_row() const {
    return drops ? std::max(score_row(), draws_of_a_row * kDropoutDraws) : 0;
  }
  // The factors of the probabilities of query i; any number behind the last of them.
  void load_factors(A* factors, int64_t i) const {
    dropout_factors(factors, draws, first_draw + static_cast<uint64_t>(i * draws_of_a_row),
                    draws_of_a_row);
    std::fill(factors + draws_of_a_row * kDropoutDraws, factors + factor_row(), A(0));
  }

  int64_t n, queries, d, width, first, column;
  const A *cos, *sin;
  bool drops;
  int64_t draws_of_a_row;
  uint64_t first_draw;
  DropoutDraws draws{};
};

// row[j] = exp((row[j] - largest) scale) for j < n, 0 up to `padded`; the sum of them.
template <class A>
A exponentials(A* row, int64_t n, int64_t padded, A largest, A scale) {
  for (int64_t j = n; j < padded; ++j) row[j] = -std::numeric_limits<A>::infinity();
  A total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t j = 0; j < padded; ++j) {
    row[j] = fast_exp((row[j] - largest) * scale);
    total += row[j];
  }
  return total;
}

template <class T, int D>
void forward_head(const Head<T, D>& head, void* out, void* stats, const void* qkv) {
  using A = arithmetic<T>;
  const int64_t n = head.n, d = head.d, row = head.score_row();
  const A scale = A(1) / std::sqrt(static_cast<A>(d));
  static thread_local Scratch<A> scratch;
  A* k_panels = scratch.get(row * d + whole_vectors<A>(d) * n + n * d + kQueryRows * (d + row) +
                            head.factor_row());
  A* v_panels = k_panels + row * d;
  A* rows = v_panels + whole_vectors<A>(d) * n;  // [n, d], then blocks of q and out
  A *q = rows + n * d, *p = q + kQueryRows * d, *factors = p + kQueryRows * row;
  head.load(rows, qkv, 1);
  head.pack_transposed(k_panels, rows);
  head.load(rows, qkv, 2);
  head.pack(v_panels, rows);
  for (int64_t i0 = 0; i0 < head.queries; i0 += kQueryRows) {
    const int64_t count = std::min(kQueryRows, head.queries - i0);
    for (int64_t i = 0; i < count; ++i) head.load_row(q + i * d, qkv, 0, i0 + i);
    head.against_keys(p, q, count, k_panels);
    for (int64_t i = 0; i < count; ++i) {
      A* s = p + i * row;
      A largest = s[0];
#pragma omp simd reduction(max : largest)
      for (int64_t j = 0; j < n; ++j) largest = s[j] > largest ? s[j] : largest;
      const A total = exponentials(s, n, row, largest, scale), inverse = A(1) / total;
      if (head.drops) {
        head.load_factors(factors, i0 + i);
#pragma omp simd
        for (int64_t j = 0; j < row; ++j) s[j] *= factors[j];
      }
#pragma omp simd
      for (int64_t j = 0; j < row; ++j) s[j] = rounded<T>(s[j] * inverse);
      A* stat = static_cast<A*>(stats) + (i0 + i) * 2;
      stat[0] = largest;
      stat[1] = total;
    }
    T* target = static_cast<T*>(out) + (head.first + i0) * head.width + head.column;
    if constexpr (std::is_same_v<T, A>) {
      tile_product(target, head.width, p, row, 1, v_panels, count, d, n, false);
    } else {
      tile_product(q, d, p, row, 1, v_panels, count, d, n, false);
      for (int64_t i = 0; i < count; ++i)
        for (int64_t j = 0; j < d; ++j) assign(target[i * head.width + j], q[i * d + j]);
    }
  }
}

template <class T, int D>
void backward_head(const Head<T, D>& head, void* dqkv, const void* dout, const void* stats,
                   const void* qkv) {
  using A = arithmetic<T>;
  const int64_t n = head.n, d = head.d, row = head.score_row();
  const A scale = A(1) / std::sqrt(static_cast<A>(d));
  const int64_t across = row * d, along = whole_vectors<A>(d) * n;
  static thread_local Scratch<A> scratch;
  A* q = scratch.get(7 * n * d + 2 * across + 3 * along + 2 * kQueryRows * row + head.factor_row());
  A *k = q + n * d, *v = k + n * d, *go = v + n * d;           // [n, d], q and k rotated
  A *dq = go + n * d, *dk = dq + n * d, *dv = dk + n * d;      // [n, d]
  A *k_across = dv + n * d, *v_across = k_across + across;     // panels of k', v'
  A *k_along = v_across + across, *q_along = k_along + along;  // panels of k, q
  A *go_along = q_along + along, *p = go_along + along, *dp = p + kQueryRows * row;
  A* factors = dp + kQueryRows * row;
  head.load(q, qkv, 0);
  head.load(k, qkv, 1);
  head.load(v, qkv, 2);
  head.load_slice(go, dout);
  head.pack_transposed(k_across, k);
  head.pack_transposed(v_across, v);
  head.pack(k_along, k);
  for (int64_t i0 = 0; i0 < n; i0 += kQueryRows) {
    const int64_t count = std::min(kQueryRows, n - i0);
    head.against_keys(p, q + i0 * d, count, k_across);    // scores again
    head.against_keys(dp, go + i0 * d, count, v_across);  // dp = dout v'
    for (int64_t i = 0; i < count; ++i) {
      A *s = p + i * row, *ds = dp + i * row;
      const A* stat = static_cast<const A*>(stats) + (i0 + i) * 2;
      const A inverse = A(1) / stat[1];
      exponentials(s, n, row, stat[0], scale);
      if (head.drops) {
        head.load_factors(factors, i0 + i);
#pragma omp simd
        for (int64_t j = 0; j < row; ++j) ds[j] *= factors[j];
      }
      // The same probabilities weigh the mean, so that it cancels where one of them is 1 (rowsum
      // of dout out, its equal on paper, would not).
      A mean = 0;
#pragma omp simd reduction(+ : mean)
      for (int64_t j = 0; j < row; ++j) {
        s[j] *= inverse;
        mean += s[j] * ds[j];
      }
#pragma omp simd
      for (int64_t j = 0; j < row; ++j) ds[j] = s[j] * (ds[j] - mean) * scale;  // of q k'
      // What weighed v.
      if (head.drops) {
#pragma omp simd
        for (int64_t j = 0; j < row; ++j) s[j] *= factors[j];
      }
#pragma omp simd
      for (int64_t j = 0; j < row; ++j) s[j] = rounded<T>(s[j]);
    }
    tile_product(dq + i0 * d, d, dp, row, 1, k_along, count, d, n, false);  // dq = ds k
    const auto add_transposed = [&](A* sum, const A* scores, const A* rows, A* panels) {
      pack_panels(panels, rows + i0 * d, d, 1, d, count);
      tile_product(sum, d, scores, 1, row, panels, n, d, count, i0 > 0);
    };
    add_transposed(dk, dp, q, q_along);   // dk += ds' q
    add_transposed(dv, p, go, go_along);  // dv += p' dout
  }
  head.store(dqkv, dq, 0);
  head.store(dqkv, dk, 1);
  head.store(dqkv, dv, 2);
}

// Calls work(head) for every head, the sizes that HRM has known to the compiler.
template <class T, class Work>
void for_each_head(const AttentionShape& shape, const void* cos, const void* sin,
                   const Work& work) {
  const auto run = [&]<int D>() {
    const int64_t cost = 2 * shape.seq * (shape.seq + shape.head_dim);
    parallel_for(shape.batch * shape.heads, cost,
                 [&](int64_t index) { work(Head<T, D>(shape, index, cos, sin), index); });
  };
  if (shape.head_dim == 32) return run.template operator()<32>();
  if (shape.head_dim == 64) return run.template operator()<64>();
  run.template operator()<0>();
}

}  // namespace

void attention(DType t, void* out, void* stats, const void* qkv, const void* cos, const void* sin,
               const AttentionShape& shape, const Context&) {
  visit_float(t, [&]<class T>() {
    for_each_head<T>(shape, cos, sin, [&](const auto& head, int64_t index) {
      forward_head(head, out, static_cast<arithmetic<T>*>(stats) + index * shape.seq * 2, qkv);
    });
  });
}

void attention_backward(DType t, void* dqkv, const void* dout, const void* stats, const void* qkv,
                        const void* cos, const void* sin, const AttentionShape& shape,
                        const Context&) {
  visit_float(t, [&]<class T>() {
    for_each_head<T>(shape, cos, sin, [&](const auto& head, int64_t index) {
      backward_head(head, dqkv, dout,
                    static_cast<const arithmetic<T>*>(stats) + index * shape.seq * 2, qkv);
    });
  });
}

}  // namespace hrm::HRM_CPU

#include "kernels/elementwise.h"

#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"
#include "kernels/formulas.h"

namespace hrm::HRM_CPU {
namespace {

struct Math {
  template <class A>
  static A exp(A x) {
    return fast_exp(x);
  }
  template <class A>
  static A sigmoid(A x) {
    return HRM_CPU::sigmoid(x);
  }
  template <class A>
  static A normal_cdf(A x) {
    return HRM_CPU::normal_cdf(x);
  }
  template <class A>
  static A sin(A x) {
    return std::sin(x);
  }
  template <class A>
  static A cos(A x) {
    return std::cos(x);
  }
};

// Offsets of the three operands at the start of a row (all dimensions but the last).
struct Offsets {
  int64_t at[3];
};
Offsets row_start(const Layout& l, int64_t row) {
  Offsets o{};
  for (int d = l.ndim - 2; d >= 0; --d) {
    const int64_t i = row % l.shape[d];
    row /= l.shape[d];
    for (int k = 0; k < 3; ++k) o.at[k] += i * l.strides[k][d];
  }
  return o;
}

// row(first output element, offsets, count, strides) for every innermost row, in chunks.
template <class Row>
void for_rows(const Layout& layout, const Row& row) {
  if (layout.count() == 0) return;
  const Layout l = simplified(layout);
  const int64_t cols = l.shape[l.ndim - 1], rows = l.count() / cols;
  const int64_t s[3] = {l.strides[0][l.ndim - 1], l.strides[1][l.ndim - 1],
                        l.strides[2][l.ndim - 1]};
  const int64_t pieces = (cols + kChunk - 1) / kChunk;
  parallel_for(rows * pieces, std::min(cols, kChunk), [&](int64_t i) {
    const int64_t r = i / pieces, begin = i % pieces * kChunk;
    Offsets o = row_start(l, r);
    for (int k = 0; k < 3; ++k) o.at[k] += begin * s[k];
    row(r * cols + begin, o, std::min(kChunk, cols - begin), s);
  });
}

template <class T, class F>
void map(T* y, const T* x, int64_t n, const F& f) {
  parallel_chunks(n, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) assign(y[i], f(static_cast<Working<T>>(x[i])));
  });
}

// Loops of one op each, in functions of their own, in which all that they call is inlined: so they
// vectorise.
template <class Op, class T>
[[gnu::noinline]] void apply_to(T* y, const T* x, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i)
    assign(y[i], Op::template apply<Math>(static_cast<arithmetic<T>>(x[i])));
}
template <class Op, class T>
[[gnu::noinline]] void apply_derivative(T* dx, const T* kept, const T* dy, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const auto v = static_cast<arithmetic<T>>(kept[i]);
    assign(dx[i], static_cast<arithmetic<T>>(dy[i]) * Op::template derivative<Math>(v, v));
  }
}

// f(y[i], a[...], b[...]) for every element of a broadcast operation. Rows in which an operand lies
// side by side or stays the same have loops that vectorise.
template <class T, class Y, class F>
void for_pairs(Y* y, const void* a, const void* b, const Layout& layout, const F& f) {
  for_rows(layout, [&](int64_t first, const Offsets& o, int64_t n, const int64_t* s) {
    Y* out = y + first;
    const T *p = static_cast<const T*>(a) + o.at[0], *q = static_cast<const T*>(b) + o.at[1];
    const int64_t sa = s[0], sb = s[1];
    if (sa == 1 && sb == 1) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) f(out[i], p[i], q[i]);
    } else if (sa == 1 && sb == 0) {
      const T same = *q;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) f(out[i], p[i], same);
    } else if (sa == 0 && sb == 1) {
      const T same = *p;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) f(out[i], same, q[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) f(out[i], p[i * sa], q[i * sb]);
    }
  });
}

}  // namespace

void unary(UnaryOp op, DType t, void* y, const void* x, int64_t n, const Context&) {
  visit_float(t, [&]<class T>() {
    T* out = static_cast<T*>(y);
    const T* in = static_cast<const T*>(x);
    visit_unary(op, [&]<class Op>() {
      parallel_chunks(n, [&](int64_t begin, int64_t end) {
        apply_to<Op>(out + begin, in + begin, end - begin);
      });
    });
  });
}

void unary_backward(UnaryOp op, DType t, void* dx, const void* x, const void* y, const void* dy,
                    int64_t n, const Context&) {
  visit_float(t, [&]<class T>() {
    const T* kept = static_cast<const T*>(x ? x : y);
    const T* g = static_cast<const T*>(dy);
    T* out = static_cast<T*>(dx);
    visit_unary(op, [&]<class Op>() {
      parallel_chunks(n, [&](int64_t begin, int64_t end) {
        apply_derivative<Op>(out + begin, kept + begin, g + begin, end - begin);
      });
    });
  });
}

void binary(BinaryOp op, DType t, void* y, const void* a, const void* b, const Layout& layout,
            const Context&) {
  visit_any(t, [&]<class T>() {
    using W = Working<T>;
    visit_binary(op, [&]<BinaryOp kOp>() {
      for_pairs<T>(static_cast<T*>(y), a, b, layout,
                   [](T& out, T p, T q) { assign(out, apply(kOp, W(p), W(q))); });
    });
  });
}

void compare(CompareOp op, DType t, uint8_t* y, const void* a, const void* b, const Layout& layout,
             const Context&) {
  visit_any(t, [&]<class T>() {
    using W = Working<T>;
    visit_compare(op, [&]<CompareOp kOp>() {
      for_pairs<T>(y, a, b, layout,
                   [](uint8_t& out, T p, T q) { out = holds(kOp, W(p), W(q)) ? 1 : 0; });
    });
  });
}

void where(DType t, void* y, const uint8_t* condition, const void* a, const void* b,
           const Layout& layout, const Context&) {
  visit_any(t, [&]<class T>() {
    for_rows(layout, [&](int64_t first, const Offsets& o, int64_t n, const int64_t* s) {
      T* out = static_cast<T*>(y) + first;
      const uint8_t* c = condition + o.at[0];
      const T *p = static_cast<const T*>(a) + o.at[1], *q = static_cast<const T*>(b) + o.at[2];
      // A constant on one side, or on none, is what the gradients of others ask for.
      if (s[0] == 1 && s[1] == 1 && s[2] == 1) {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) out[i] = c[i] ? p[i] : q[i];
      } else if (s[0] == 1 && s[1] == 1 && s[2] == 0) {
        const T same = *q;
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) out[i] = c[i] ? p[i] : same;
      } else {
        for (int64_t i = 0; i < n; ++i) out[i] = c[i * s[0]] ? p[i * s[1]] : q[i * s[2]];
      }
    });
  });
}

void affine(DType t, void* y, const void* x, int64_t n, double scale, double shift,
            const Context&) {
  visit_any(t, [&]<class T>() {
    using W = Working<T>;
    const W a = number_as<W>(scale), b = number_as<W>(shift);
    map(static_cast<T*>(y), static_cast<const T*>(x), n, [a, b](W v) { return v * a + b; });
  });
}

void axpy(DType t, void* y, const void* x, int64_t n, double alpha, const Context&) {
  visit_any(t, [&]<class T>() {
    using W = Working<T>;
    const W a = static_cast<W>(alpha);
    T* out = static_cast<T*>(y);
    const T* in = static_cast<const T*>(x);
    parallel_chunks(n, [&](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i)
        assign(out[i], static_cast<W>(out[i]) + a * static_cast<W>(in[i]));
    });
  });
}

void add3(DType t, void* y, const void* a, const void* b, const void* c, int64_t n,
          const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    T* out = static_cast<T*>(y);
    const T *p = static_cast<const T*>(a), *q = static_cast<const T*>(b),
            *r = static_cast<const T*>(c);
    parallel_chunks(n, [&](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i)
        assign(out[i],
               static_cast<A>(p[i]) + rounded<T>(static_cast<A>(q[i]) + static_cast<A>(r[i])));
    });
  });
}

void fill(DType t, void* y, int64_t n, double value, const Context&) {
  visit_any(t, [&]<class T>() {
    const T v = static_cast<T>(static_cast<Working<T>>(value));
    parallel_chunks(n, [&](int64_t begin, int64_t end) {
      std::fill(static_cast<T*>(y) + begin, static_cast<T*>(y) + end, v);
    });
  });
}

void copy_strided(DType t, void* y, const void* x, const Layout& layout, const Context&) {
  visit_any(t, [&]<class T>() {
    for_rows(layout, [&](int64_t, const Offsets& o, int64_t n, const int64_t* s) {
      T* out = static_cast<T*>(y) + o.at[0];
      const T* in = static_cast<const T*>(x) + o.at[1];
      if (s[0] == 1 && s[1] == 1)
        std::copy(in, in + n, out);
      else
        for (int64_t i = 0; i < n; ++i) out[i * s[0]] = in[i * s[1]];
    });
  });
}

}  // namespace hrm::HRM_CPU

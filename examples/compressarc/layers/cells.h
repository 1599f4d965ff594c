// Products and sums over the cells of a tensor, a few channels wide. Channels are known when the
// program is compiled, so that those of a cell lie in one or two registers.
//
//     multiply<8>(y, x, w, cells, 16);   // y [cells, 8] = x [cells, 16] w [16, 8]
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tensor/tensor.h"

namespace hrm::compressarc {

// N numbers that the compiler keeps in registers and computes with side by side.
template <class T, int N>
struct VectorOf {
  typedef T Type __attribute__((vector_size(N * sizeof(T))));
};
template <class T, int N>
using Vector = typename VectorOf<T, N>::Type;

// By reference: as a result a wide vector has another place on every processor.
template <class V, class T>
inline void load(V& v, const T* from) {
  std::memcpy(&v, from, sizeof v);
}
template <class V, class T>
inline void store(T* to, const V& v) {
  std::memcpy(to, &v, sizeof v);
}

// Where a matrix begins, and from one row to the next.
template <class T>
struct Rows {
  T* data;
  int64_t stride;
  T* operator[](int64_t row) const { return data + row * stride; }
};

// Cells whose numbers stay in the cache while one thing after another is done with them.
inline constexpr int64_t kBlock = 64;
// f(first, cells) for each block.
template <class F>
void for_blocks(int64_t cells, const F& f) {
  for (int64_t first = 0; first < cells; first += kBlock) f(first, std::min(kBlock, cells - first));
}

// f.operator()<T>() with float or double.
template <class F>
void visit_real(DType dtype, const F& f) {
  if (dtype == DType::f64) return f.template operator()<double>();
  f.template operator()<float>();
}
// f.operator()<channels>(): the residual stream has 8 or 16.
template <class F>
void visit_channels(int64_t channels, const F& f) {
  if (channels == 8) return f.template operator()<8>();
  f.template operator()<16>();
}

namespace detail_of_cells {

// Cells [first, first + kSide) of y = base + x w, base 0 if null.
template <int kOut, int kSide, class T>
inline void multiply_some(const Rows<T>& y, const Rows<const T>& base, const Rows<const T>& x,
                          const Rows<const T>& w, int64_t first, int64_t in) {
  Vector<T, kOut> sum[kSide];
  for (int n = 0; n < kSide; ++n) {
    sum[n] = Vector<T, kOut>{};
    if (base.data) load(sum[n], base[first + n]);
  }
  for (int64_t i = 0; i < in; ++i) {
    Vector<T, kOut> row;
    load(row, w[i]);
    for (int n = 0; n < kSide; ++n) sum[n] += x[first + n][i] * row;
  }
  for (int n = 0; n < kSide; ++n) store(y[first + n], sum[n]);
}

// Rows [first, first + kSide) of dw += x^T dy.
template <int kOut, int kSide, class T>
inline void add_outer_some(const Rows<T>& dw, const Rows<const T>& x, const Rows<const T>& dy,
                           int64_t cells, int64_t first) {
  Vector<T, kOut> sum[kSide];
  for (int i = 0; i < kSide; ++i) sum[i] = Vector<T, kOut>{};
  for (int64_t n = 0; n < cells; ++n) {
    Vector<T, kOut> row;
    load(row, dy[n]);
    for (int i = 0; i < kSide; ++i) sum[i] += x[n][first + i] * row;
  }
  for (int i = 0; i < kSide; ++i) {
    Vector<T, kOut> before;
    load(before, dw[first + i]);
    store(dw[first + i], before + sum[i]);
  }
}

}  // namespace detail_of_cells

// y [cells, kOut] = base + x [cells, in] w [in, kOut].
template <int kOut, class T>
void multiply_onto(const Rows<T>& y, const Rows<const T>& base, const Rows<const T>& x,
                   const Rows<const T>& w, int64_t cells, int64_t in) {
  constexpr int kSide = sizeof(T) * kOut <= 64 ? 8 : 4;
  int64_t n = 0;
  for (; n + kSide <= cells; n += kSide)
    detail_of_cells::multiply_some<kOut, kSide>(y, base, x, w, n, in);
  for (; n < cells; ++n) detail_of_cells::multiply_some<kOut, 1>(y, base, x, w, n, in);
}
template <int kOut, class T>
void multiply_onto(T* y, const std::type_identity_t<T>* base, const std::type_identity_t<T>* x,
                   const std::type_identity_t<T>* w, int64_t cells, int64_t in) {
  multiply_onto<kOut, T>({y, kOut}, {base, kOut}, {x, in}, {w, kOut}, cells, in);
}
template <int kOut, class T>
void multiply(T* y, const std::type_identity_t<T>* x, const std::type_identity_t<T>* w,
              int64_t cells, int64_t in) {
  multiply_onto<kOut, T>(y, nullptr, x, w, cells, in);
}

// dw [in, kOut] += x [cells, in]^T dy [cells, kOut], for an even `in`: block by block, so that a
// sum of many cells keeps its digits.
template <int kOut, class T>
void add_outer(const Rows<T>& dw, const Rows<const T>& x, const Rows<const T>& dy, int64_t cells,
               int64_t in) {
  for_blocks(cells, [&](int64_t first, int64_t count) {
    const Rows<const T> some_x = {x[first], x.stride}, some_dy = {dy[first], dy.stride};
    int64_t i = 0;
    for (; i + 8 <= in; i += 8)
      detail_of_cells::add_outer_some<kOut, 8>(dw, some_x, some_dy, count, i);
    for (; i + 2 <= in; i += 2)
      detail_of_cells::add_outer_some<kOut, 2>(dw, some_x, some_dy, count, i);
  });
}
template <int kOut, class T>
void add_outer(T* dw, const std::type_identity_t<T>* x, const std::type_identity_t<T>* dy,
               int64_t cells, int64_t in) {
  add_outer<kOut, T>({dw, kOut}, {x, in}, {dy, kOut}, cells, in);
}

// sums += the sums of f(cell), a vector of kWide channels, over all cells: within a block in T.
template <int kWide, class T, class F>
void add_column_sums(double* sums, int64_t cells, const F& f) {
  for_blocks(cells, [&](int64_t first, int64_t count) {
    Vector<T, kWide> total = {};
    for (int64_t n = first; n < first + count; ++n) {
      Vector<T, kWide> v;
      f(v, n);
      total += v;
    }
    for (int c = 0; c < kWide; ++c) sums[c] += static_cast<double>(total[c]);
  });
}

// to [cols, rows] = from [rows, cols].
template <class T>
void transpose(T* to, const T* from, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) to[c * rows + r] = from[r * cols + c];
}

}  // namespace hrm::compressarc

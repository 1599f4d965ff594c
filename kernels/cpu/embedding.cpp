#include "kernels/embedding.h"

#include "kernels/cpu/parallel.h"

namespace hrm::HRM_CPU {

void gather_rows(DType t, void* y, const void* table, const int32_t* ids, int64_t n, int64_t dim,
                 double scale, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const A s = static_cast<A>(scale);
    parallel_for(n, dim, [&](int64_t i) {
      const T* row = static_cast<const T*>(table) + ids[i] * dim;
      T* out = static_cast<T*>(y) + i * dim;
      for (int64_t d = 0; d < dim; ++d) assign(out[d], s * static_cast<A>(row[d]));
    });
  });
}

void scatter_add_rows(DType t, void* table, DType t_in, const void* dy, const int32_t* ids,
                      int64_t n, int64_t dim, int64_t, double scale, const Context&) {
  visit_float(t, [&]<class T>() {
    visit_float(t_in, [&]<class In>() {
      using A = arithmetic<T>;
      const A s = static_cast<A>(scale);
      // Threads own columns, so each sum runs over the ids in order.
      constexpr int64_t kColumns = 32;
      parallel_for((dim + kColumns - 1) / kColumns, n * kColumns, [&](int64_t block) {
        const int64_t begin = block * kColumns, end = std::min(dim, begin + kColumns);
        for (int64_t i = 0; i < n; ++i) {
          T* row = static_cast<T*>(table) + ids[i] * dim;
          const In* g = static_cast<const In*>(dy) + i * dim;
          for (int64_t d = begin; d < end; ++d)
            assign(row[d], static_cast<A>(row[d]) + s * static_cast<A>(g[d]));
        }
      });
    });
  });
}

void gather_last(DType t, void* y, const void* x, const int32_t* index, int64_t rows, int64_t cols,
                 int64_t picks, const Context&) {
  visit_any(t, [&]<class T>() {
    parallel_for(rows, picks, [&](int64_t r) {
      for (int64_t j = 0; j < picks; ++j)
        static_cast<T*>(y)[r * picks + j] =
            static_cast<const T*>(x)[r * cols + index[r * picks + j]];
    });
  });
}

void scatter_add_last(DType t, void* x, const void* dy, const int32_t* index, int64_t rows,
                      int64_t cols, int64_t picks, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    parallel_for(rows, picks, [&](int64_t r) {
      for (int64_t j = 0; j < picks; ++j) {
        T& target = static_cast<T*>(x)[r * cols + index[r * picks + j]];
        target = static_cast<T>(static_cast<A>(target) +
                                static_cast<A>(static_cast<const T*>(dy)[r * picks + j]));
      }
    });
  });
}

}  // namespace hrm::HRM_CPU

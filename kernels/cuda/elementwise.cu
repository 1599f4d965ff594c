#include "kernels/cuda/gpu.h"
#include "kernels/cuda/runtime.h"
#include "kernels/elementwise.h"
#include "kernels/formulas.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 256;

struct Math {
  template <class A>
  __device__ static A exp(A x) {
    return gpu::exponential(x);
  }
  template <class A>
  __device__ static A sigmoid(A x) {
    return gpu::sigmoid(x);
  }
  template <class A>
  __device__ static A normal_cdf(A x) {
    return unary_ops::normal_cdf(x);
  }
  template <class A>
  __device__ static A sin(A x) {
    return gpu::sine(x, 0);
  }
  template <class A>
  __device__ static A cos(A x) {
    return gpu::sine(x, 0.5);
  }
};

// What happens to an element (or a pair); small values that travel with the launch.
struct Unary {
  UnaryOp op;
  template <class A>
  __device__ A operator()(A x, A) const {
    return apply<Math>(op, x);
  }
};
struct UnaryBackward {
  UnaryOp op;
  template <class A>
  __device__ A operator()(A kept, A dy) const {
    return dy * derivative<Math>(op, kept, kept);
  }
};
struct Binary {
  BinaryOp op;
  template <class A>
  __device__ A operator()(A a, A b) const {
    return apply(op, a, b);
  }
};
struct Affine {
  double scale, shift;
  template <class A>
  __device__ A operator()(A x, A) const {
    return x * number_as<A>(scale) + number_as<A>(shift);
  }
};
struct Axpy {
  double alpha;
  template <class A>
  __device__ A operator()(A x, A y) const {
    return y + static_cast<A>(alpha) * x;
  }
};

// y[i] = f(a[i], b[i]) (b may be null: b is a), sixteen bytes at a time where `packs` says that all
// three are aligned; the rest one by one.
template <class T, class F>
__global__ void map_kernel(T* y, const T* a, const T* b, int64_t n, int64_t packs, F f) {
  using W = Working<T>;
  if constexpr (!std::is_integral_v<T>) {
    constexpr int kSize = gpu::Pack<T>::kSize;
    for (int64_t i = gpu::first(); i < packs; i += gpu::stride()) {
      gpu::Pack<T> p, q;
      p.read(a + i * kSize);
      q = p;
      if (b) q.read(b + i * kSize);
      GPU_UNROLL
      for (int k = 0; k < kSize; ++k) p.v[k] = f(p.v[k], q.v[k]);
      p.write(y + i * kSize);
    }
    packs *= kSize;
  }
  for (int64_t i = packs + gpu::first(); i < n; i += gpu::stride()) {
    const W p = gpu::load(a[i]), q = b ? gpu::load(b[i]) : p;
    gpu::store(y[i], f(p, q));
  }
}

template <class T, class F>
void map(T* y, const T* a, const T* b, int64_t n, const F& f, const Context& context) {
  if (n == 0) return;
  constexpr int64_t kSize = 16 / sizeof(T);
  const bool pack = !std::is_integral_v<T> && gpu::aligned(y) && gpu::aligned(a) && gpu::aligned(b);
  const int64_t packs = pack ? n / kSize : 0;
  gpu::launch<map_kernel<T, F>>(gpu::blocks_for(pack ? packs + 1 : n, kBlock), dim3(kBlock), 0,
                                context, y, a, b, n, packs, f);
}

// y[i] = a[i] + (b[i] + c[i]), the first `packs` sixteen bytes at a time.
template <class T>
__global__ void add3_kernel(T* y, const T* a, const T* b, const T* c, int64_t n, int64_t packs) {
  constexpr int kSize = gpu::Pack<T>::kSize;
  for (int64_t i = gpu::first(); i < packs; i += gpu::stride()) {
    gpu::Pack<T> p, q, r;
    p.read(a + i * kSize);
    q.read(b + i * kSize);
    r.read(c + i * kSize);
    GPU_UNROLL
    for (int k = 0; k < kSize; ++k) p.v[k] += gpu::rounded<T>(q.v[k] + r.v[k]);
    p.write(y + i * kSize);
  }
  for (int64_t i = packs * kSize + gpu::first(); i < n; i += gpu::stride())
    gpu::store(y[i], gpu::load(a[i]) + gpu::rounded<T>(gpu::load(b[i]) + gpu::load(c[i])));
}

// Where element i of the result lies in each of `count` operands.
template <int count>
struct Offsets {
  int64_t at[count] = {};

  // Index: uint32_t, whose divisions take a quarter of the instructions, or int64_t.
  template <class Index>
  __device__ Offsets(const Layout& l, Index i) {
    for (int d = l.ndim - 1; d >= 0; --d) {
      const Index size = static_cast<Index>(l.shape[d]), rest = i / size;
      const int64_t position = i - rest * size;
      GPU_UNROLL
      for (int k = 0; k < count; ++k) at[k] += position * l.strides[k][d];
      i = rest;
    }
  }
};

template <class T>
__global__ void binary_kernel(T* y, const T* a, const T* b, Layout layout, int64_t n, Binary f) {
  using W = Working<T>;
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const Offsets<2> o(layout, i);
    const W p = gpu::load(a[o.at[0]]), q = gpu::load(b[o.at[1]]);
    gpu::store(y[i], f(p, q));
  }
}

template <class T>
__global__ void compare_kernel(CompareOp op, uint8_t* y, const T* a, const T* b, Layout layout,
                               int64_t n) {
  using W = Working<T>;
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const Offsets<2> o(layout, i);
    const W p = gpu::load(a[o.at[0]]), q = gpu::load(b[o.at[1]]);
    y[i] = holds(op, p, q) ? 1 : 0;
  }
}

template <class T>
__global__ void where_kernel(T* y, const uint8_t* condition, const T* a, const T* b, Layout layout,
                             int64_t n) {
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const Offsets<3> o(layout, i);
    y[i] = condition[o.at[0]] ? a[o.at[1]] : b[o.at[2]];
  }
}

template <class T>
__global__ void fill_kernel(T* y, int64_t n, T value) {
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) y[i] = value;
}

template <class T, class Index = int64_t>
__global__ void copy_kernel(T* y, const T* x, Layout layout, int64_t n) {
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const Offsets<2> o(layout, static_cast<Index>(i));
    y[o.at[0]] = x[o.at[1]];
  }
}

// A copy of matrices y[b][row][column], where x lies by columns: its rows are side by side.
struct Transposition {
  int64_t batch = 1, rows = 0, columns = 0;
  int64_t y_batch = 0, y_row = 0;     // strides of y, whose columns are side by side
  int64_t x_batch = 0, x_column = 0;  // of x
};

// A tile a block, through shared memory, so that both sides are touched in whole lines. The rows of
// the tile are a little longer than it needs, so that a column of it lies in different banks.
constexpr int kTile = 64;
template <class T>
__global__ void transpose_kernel(T* y, const T* x, Transposition t) {
  constexpr int kSpare = sizeof(T) < 4 ? static_cast<int>(4 / sizeof(T)) : 1;
  GPU_SHARED(tile, T[kTile][kTile + kSpare]);
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t row = static_cast<int64_t>(blockIdx.y) * kTile;
  y += blockIdx.z * t.y_batch + row * t.y_row + column;
  x += blockIdx.z * t.x_batch + row + column * t.x_column;
  const int64_t rows = t.rows - row, columns = t.columns - column;
  GPU_UNROLL
  for (int c = gpu::warp(); c < kTile; c += kBlock / gpu::kWarp) GPU_UNROLL
  for (int r = gpu::lane(); r < kTile; r += gpu::kWarp)
    if (r < rows && c < columns) tile[c][r] = x[r + c * t.x_column];
  __syncthreads();
  GPU_UNROLL
  for (int r = gpu::warp(); r < kTile; r += kBlock / gpu::kWarp) GPU_UNROLL
  for (int c = gpu::lane(); c < kTile; c += gpu::kWarp)
    if (r < rows && c < columns) y[r * t.y_row + c] = tile[c][r];
}

// True if a copy is of that kind, and of more than a few rows and columns.
bool transposes(const Layout& l, Transposition& t) {
  constexpr int64_t kFew = 8, kGridAtMost = 65535;
  const int last = l.ndim - 1;
  if (last != 1 && last != 2) return false;
  const int64_t *y = l.strides[0], *x = l.strides[1];
  if (y[last] != 1 || x[last - 1] != 1) return false;
  t.rows = l.shape[last - 1];
  t.columns = l.shape[last];
  t.y_row = y[last - 1];
  t.x_column = x[last];
  if (last == 2) {
    t.batch = l.shape[0];
    t.y_batch = y[0];
    t.x_batch = x[0];
  }
  return t.rows >= kFew && t.columns >= kFew && t.batch <= kGridAtMost &&
         t.rows <= kGridAtMost * kTile;
}

// True if the operands [0, count) of a simplified layout are dense.
bool dense(const Layout& l, int count) {
  bool all = l.ndim == 1;
  for (int k = 0; k < count; ++k) all = all && (l.strides[k][0] == 1 || l.shape[0] == 1);
  return all;
}

// The layout of a copy of 16-byte packs in place of elements of `element` bytes; false if its rows
// are not made of them, or not aligned, or too many for 32 bits.
bool in_packs(Layout& l, size_t element, const void* y, const void* x) {
  const auto per_pack = static_cast<int64_t>(16 / element);
  const int last = l.ndim - 1;
  if (last < 0 || l.shape[last] % per_pack != 0) return false;
  if (l.count() / per_pack > INT32_MAX) return false;
  if (!gpu::aligned(y) || !gpu::aligned(x)) return false;
  for (int k = 0; k < 2; ++k) {
    if (l.strides[k][last] != 1) return false;
    for (int d = 0; d < last; ++d)
      if (l.strides[k][d] % per_pack != 0) return false;
  }
  l.shape[last] /= per_pack;
  for (int k = 0; k < 2; ++k)
    for (int d = 0; d < last; ++d) l.strides[k][d] /= per_pack;
  return true;
}

template <class T, class Index = int64_t>
void copy_elements(void* y, const void* x, const Layout& layout, const Context& context) {
  const int64_t n = layout.count();
  gpu::launch<copy_kernel<T, Index>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                                     static_cast<T*>(y), static_cast<const T*>(x), layout, n);
}

void transpose(DType t, void* y, const void* x, const Transposition& across,
               const Context& context) {
  const auto tiles = [](int64_t n) { return static_cast<unsigned>((n + kTile - 1) / kTile); };
  const dim3 grid(tiles(across.columns), tiles(across.rows), static_cast<unsigned>(across.batch));
  visit_any(t, [&]<class T>() {
    gpu::launch<transpose_kernel<T>>(grid, dim3(kBlock), 0, context, static_cast<T*>(y),
                                     static_cast<const T*>(x), across);
  });
}

}  // namespace

void unary(UnaryOp op, DType t, void* y, const void* x, int64_t n, const Context& context) {
  visit_float(t, [&]<class T>() {
    map(static_cast<T*>(y), static_cast<const T*>(x), static_cast<const T*>(nullptr), n, Unary{op},
        context);
  });
}

void unary_backward(UnaryOp op, DType t, void* dx, const void* x, const void* y, const void* dy,
                    int64_t n, const Context& context) {
  visit_float(t, [&]<class T>() {
    map(static_cast<T*>(dx), static_cast<const T*>(x ? x : y), static_cast<const T*>(dy), n,
        UnaryBackward{op}, context);
  });
}

void binary(BinaryOp op, DType t, void* y, const void* a, const void* b, const Layout& layout,
            const Context& context) {
  const int64_t n = layout.count();
  if (n == 0) return;
  const Layout l = simplified(layout);
  visit_any(t, [&]<class T>() {
    auto* out = static_cast<T*>(y);
    const auto *p = static_cast<const T*>(a), *q = static_cast<const T*>(b);
    if (dense(l, 2)) return map(out, p, q, n, Binary{op}, context);
    gpu::launch<binary_kernel<T>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context, out, p, q,
                                  l, n, Binary{op});
  });
}

void compare(CompareOp op, DType t, uint8_t* y, const void* a, const void* b, const Layout& layout,
             const Context& context) {
  const int64_t n = layout.count();
  if (n == 0) return;
  visit_any(t, [&]<class T>() {
    gpu::launch<compare_kernel<T>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context, op, y,
                                   static_cast<const T*>(a), static_cast<const T*>(b),
                                   simplified(layout), n);
  });
}

void where(DType t, void* y, const uint8_t* condition, const void* a, const void* b,
           const Layout& layout, const Context& context) {
  const int64_t n = layout.count();
  if (n == 0) return;
  visit_any(t, [&]<class T>() {
    gpu::launch<where_kernel<T>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                                 static_cast<T*>(y), condition, static_cast<const T*>(a),
                                 static_cast<const T*>(b), simplified(layout), n);
  });
}

void affine(DType t, void* y, const void* x, int64_t n, double scale, double shift,
            const Context& context) {
  visit_any(t, [&]<class T>() {
    map(static_cast<T*>(y), static_cast<const T*>(x), static_cast<const T*>(nullptr), n,
        Affine{scale, shift}, context);
  });
}

void add3(DType t, void* y, const void* a, const void* b, const void* c, int64_t n,
          const Context& context) {
  if (n == 0) return;
  visit_float(t, [&]<class T>() {
    const bool pack = gpu::aligned(y) && gpu::aligned(a) && gpu::aligned(b) && gpu::aligned(c);
    const int64_t packs = pack ? n / gpu::Pack<T>::kSize : 0;
    gpu::launch<add3_kernel<T>>(gpu::blocks_for(pack ? packs + 1 : n, kBlock), dim3(kBlock), 0,
                                context, static_cast<T*>(y), static_cast<const T*>(a),
                                static_cast<const T*>(b), static_cast<const T*>(c), n, packs);
  });
}

void axpy(DType t, void* y, const void* x, int64_t n, double alpha, const Context& context) {
  visit_any(t, [&]<class T>() {
    map(static_cast<T*>(y), static_cast<const T*>(x), static_cast<const T*>(y), n, Axpy{alpha},
        context);
  });
}

void fill(DType t, void* y, int64_t n, double value, const Context& context) {
  if (n == 0) return;
  visit_any(t, [&]<class T>() {
    const T v = static_cast<T>(static_cast<Working<T>>(value));
    gpu::launch<fill_kernel<T>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                                static_cast<T*>(y), n, v);
  });
}

void copy_strided(DType t, void* y, const void* x, const Layout& layout, const Context& context) {
  const int64_t n = layout.count();
  if (n == 0) return;
  Layout l = simplified(layout);
  if (dense(l, 2)) return copy(y, x, static_cast<size_t>(n) * size_of(t), Copy::within, context);
  if (Transposition across; transposes(l, across)) return transpose(t, y, x, across, context);
  if (in_packs(l, size_of(t), y, x)) return copy_elements<uint4, uint32_t>(y, x, l, context);
  visit_any(t, [&]<class T>() { copy_elements<T>(y, x, l, context); });
}

}  // namespace hrm::cuda

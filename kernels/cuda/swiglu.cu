#include "kernels/cuda/gpu.h"
#include "kernels/swiglu.h"

namespace hrm::cuda {
namespace {

// gpu::sigmoid, but two instructions where the result is rounded to bf16.
template <class T>
__device__ arithmetic<T> sigmoid(arithmetic<T> x) {
  if constexpr (std::is_same_v<T, bfloat16>)
    return gpu::reciprocal_approx(1.0f + gpu::exp2_approx(-gpu::kLog2e * x));
  else
    return gpu::sigmoid(x);
}
template <class T>
__device__ arithmetic<T> gated(arithmetic<T> gate, arithmetic<T> up) {
  return gpu::rounded<T>(gate * sigmoid<T>(gate)) * up;  // silu is rounded, as unfused
}
template <class T>
struct Gradients {
  arithmetic<T> gate, up;
};
template <class T>
__device__ Gradients<T> gradients(arithmetic<T> g, arithmetic<T> u, arithmetic<T> d) {
  using A = arithmetic<T>;
  const A s = sigmoid<T>(g);
  return {d * u * s * (A(1) + g * (A(1) - s)), d * g * s};
}

// A block takes whole rows, so that no thread divides to find its place. `size` elements a thread
// at a time: a Pack, or 1 where rows are no multiple of one.
template <class T, int size>
__global__ void swiglu_kernel(T* y, const T* gate_up, int64_t rows, int inter) {
  const int first = static_cast<int>(threadIdx.x) * size;
  const int stride = static_cast<int>(blockDim.x) * size;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* from = gate_up + row * 2 * inter;
    T* to = y + row * inter;
    for (int column = first; column < inter; column += stride) {
      const T* gate = from + gate_column(column, inter);
      const T* up = from + up_column(column, inter);
      if constexpr (size > 1) {
        gpu::Pack<T> g, u;
        g.read(gate);
        u.read(up);
        GPU_UNROLL
        for (int k = 0; k < size; ++k) g.v[k] = gated<T>(g.v[k], u.v[k]);
        g.write(to + column);
      } else {
        gpu::store(to[column], gated<T>(gpu::load(*gate), gpu::load(*up)));
      }
    }
  }
}

template <class T, int size>
__global__ void swiglu_backward_kernel(T* dgate_up, const T* gate_up, const T* dy, int64_t rows,
                                       int inter) {
  const int first = static_cast<int>(threadIdx.x) * size;
  const int stride = static_cast<int>(blockDim.x) * size;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* from = gate_up + row * 2 * inter;
    const T* dfrom = dy + row * inter;
    T* to = dgate_up + row * 2 * inter;
    for (int column = first; column < inter; column += stride) {
      const int64_t gate = gate_column(column, inter), up = up_column(column, inter);
      if constexpr (size > 1) {
        gpu::Pack<T> g, u, d;
        g.read(from + gate);
        u.read(from + up);
        d.read(dfrom + column);
        GPU_UNROLL
        for (int k = 0; k < size; ++k) {
          const auto both = gradients<T>(g.v[k], u.v[k], d.v[k]);
          g.v[k] = both.gate;
          u.v[k] = both.up;
        }
        g.write(to + gate);
        u.write(to + up);
      } else {
        const auto both =
            gradients<T>(gpu::load(from[gate]), gpu::load(from[up]), gpu::load(dfrom[column]));
        gpu::store(to[gate], both.gate);
        gpu::store(to[up], both.up);
      }
    }
  }
}

template <class T>
bool packs(int64_t inter, std::initializer_list<const void*> pointers) {
  bool fits = inter % gpu::Pack<T>::kSize == 0;
  for (const void* p : pointers) fits = fits && gpu::aligned(p);
  return fits;
}

}  // namespace

void swiglu(DType t, void* y, const void* gate_up, int64_t rows, int64_t inter,
            const Context& context) {
  if (rows * inter == 0) return;
  visit_float(t, [&]<class T>() {
    const auto run = [&]<int size>() {
      gpu::launch<swiglu_kernel<T, size>>(
          gpu::blocks_for(rows, 1), gpu::threads_for(inter / size), 0, context, static_cast<T*>(y),
          static_cast<const T*>(gate_up), rows, static_cast<int>(inter));
    };
    if (packs<T>(inter, {y, gate_up}))
      run.template operator()<gpu::Pack<T>::kSize>();
    else
      run.template operator()<1>();
  });
}

void swiglu_backward(DType t, void* dgate_up, const void* gate_up, const void* dy, int64_t rows,
                     int64_t inter, const Context& context) {
  if (rows * inter == 0) return;
  visit_float(t, [&]<class T>() {
    const auto run = [&]<int size>() {
      gpu::launch<swiglu_backward_kernel<T, size>>(
          gpu::blocks_for(rows, 1), gpu::threads_for(inter / size), 0, context,
          static_cast<T*>(dgate_up), static_cast<const T*>(gate_up), static_cast<const T*>(dy),
          rows, static_cast<int>(inter));
    };
    if (packs<T>(inter, {dgate_up, gate_up, dy}))
      run.template operator()<gpu::Pack<T>::kSize>();
    else
      run.template operator()<1>();
  });
}

}  // namespace hrm::cuda

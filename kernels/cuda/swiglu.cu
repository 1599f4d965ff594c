#include "kernels/cuda/gpu.h"
#include "kernels/swiglu.h"

namespace hrm::cuda {
namespace {

template <class T>
__device__ arithmetic<T> gated(arithmetic<T> gate, arithmetic<T> up) {
  return gpu::rounded<T>(gate * gpu::sigmoid(gate)) * up;  // silu is rounded, as unfused
}
template <class T>
struct Gradients {
  arithmetic<T> gate, up;
};
template <class T>
__device__ Gradients<T> gradients(arithmetic<T> g, arithmetic<T> u, arithmetic<T> d) {
  using A = arithmetic<T>;
  const A s = gpu::sigmoid(g);
  return {d * u * s * (A(1) + g * (A(1) - s)), d * g * s};
}

// `size` elements a thread: a Pack, or 1 where rows are no multiple of one.
template <class T, int size>
__global__ void swiglu_kernel(T* y, const T* gate_up, int64_t items, int64_t inter) {
  for (int64_t i = gpu::first(); i < items; i += gpu::stride()) {
    const int64_t row = i * size / inter, column = i * size % inter;
    const T* gate = gate_up + row * 2 * inter + gate_column(column, inter);
    const T* up = gate_up + row * 2 * inter + up_column(column, inter);
    if constexpr (size > 1) {
      gpu::Pack<T> g, u;
      g.read(gate);
      u.read(up);
      GPU_UNROLL
      for (int k = 0; k < size; ++k) g.v[k] = gated<T>(g.v[k], u.v[k]);
      g.write(y + i * size);
    } else {
      gpu::store(y[i], gated<T>(gpu::load(*gate), gpu::load(*up)));
    }
  }
}

template <class T, int size>
__global__ void swiglu_backward_kernel(T* dgate_up, const T* gate_up, const T* dy, int64_t items,
                                       int64_t inter) {
  for (int64_t i = gpu::first(); i < items; i += gpu::stride()) {
    const int64_t row = i * size / inter, column = i * size % inter;
    const int64_t gate = row * 2 * inter + gate_column(column, inter);
    const int64_t up = row * 2 * inter + up_column(column, inter);
    if constexpr (size > 1) {
      gpu::Pack<T> g, u, d;
      g.read(gate_up + gate);
      u.read(gate_up + up);
      d.read(dy + i * size);
      GPU_UNROLL
      for (int k = 0; k < size; ++k) {
        const auto both = gradients<T>(g.v[k], u.v[k], d.v[k]);
        g.v[k] = both.gate;
        u.v[k] = both.up;
      }
      g.write(dgate_up + gate);
      u.write(dgate_up + up);
    } else {
      const auto both =
          gradients<T>(gpu::load(gate_up[gate]), gpu::load(gate_up[up]), gpu::load(dy[i]));
      gpu::store(dgate_up[gate], both.gate);
      gpu::store(dgate_up[up], both.up);
    }
  }
}

template <class T>
bool packs(int64_t inter, std::initializer_list<const void*> pointers) {
  bool fits = inter % gpu::Pack<T>::kSize == 0;
  for (const void* p : pointers) fits = fits && reinterpret_cast<uintptr_t>(p) % 16 == 0;
  return fits;
}

}  // namespace

void swiglu(DType t, void* y, const void* gate_up, int64_t rows, int64_t inter,
            const Context& context) {
  const int64_t n = rows * inter;
  if (n == 0) return;
  visit_float(t, [&]<class T>() {
    const auto run = [&]<int size>() {
      gpu::launch<swiglu_kernel<T, size>>(gpu::blocks_for(n / size, 256), dim3(256), 0, context,
                                          static_cast<T*>(y), static_cast<const T*>(gate_up),
                                          n / size, inter);
    };
    if (packs<T>(inter, {y, gate_up}))
      run.template operator()<gpu::Pack<T>::kSize>();
    else
      run.template operator()<1>();
  });
}

void swiglu_backward(DType t, void* dgate_up, const void* gate_up, const void* dy, int64_t rows,
                     int64_t inter, const Context& context) {
  const int64_t n = rows * inter;
  if (n == 0) return;
  visit_float(t, [&]<class T>() {
    const auto run = [&]<int size>() {
      gpu::launch<swiglu_backward_kernel<T, size>>(
          gpu::blocks_for(n / size, 256), dim3(256), 0, context, static_cast<T*>(dgate_up),
          static_cast<const T*>(gate_up), static_cast<const T*>(dy), n / size, inter);
    };
    if (packs<T>(inter, {dgate_up, gate_up, dy}))
      run.template operator()<gpu::Pack<T>::kSize>();
    else
      run.template operator()<1>();
  });
}

}  // namespace hrm::cuda

#include "kernels/swiglu.h"

#include "kernels/cuda/gpu.h"

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
    const T* gate = gate_up + row * 2 * inter + column;
    if constexpr (size > 1) {
      gpu::Pack<T> g, u;
      g.read(gate);
      u.read(gate + inter);
      GPU_UNROLL
      for (int k = 0; k < size; ++k) g.v[k] = gated<T>(g.v[k], u.v[k]);
      g.write(y + i * size);
    } else {
      gpu::store(y[i], gated<T>(gpu::load(gate[0]), gpu::load(gate[inter])));
    }
  }
}

template <class T, int size>
__global__ void swiglu_backward_kernel(T* dgate_up, const T* gate_up, const T* dy, int64_t items,
                                       int64_t inter) {
  for (int64_t i = gpu::first(); i < items; i += gpu::stride()) {
    const int64_t row = i * size / inter, column = i * size % inter;
    const T* gate = gate_up + row * 2 * inter + column;
    T* dgate = dgate_up + row * 2 * inter + column;
    if constexpr (size > 1) {
      gpu::Pack<T> g, u, d;
      g.read(gate);
      u.read(gate + inter);
      d.read(dy + i * size);
      GPU_UNROLL
      for (int k = 0; k < size; ++k) {
        const auto both = gradients<T>(g.v[k], u.v[k], d.v[k]);
        g.v[k] = both.gate;
        u.v[k] = both.up;
      }
      g.write(dgate);
      u.write(dgate + inter);
    } else {
      const auto both = gradients<T>(gpu::load(gate[0]), gpu::load(gate[inter]), gpu::load(dy[i]));
      gpu::store(dgate[0], both.gate);
      gpu::store(dgate[inter], both.up);
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

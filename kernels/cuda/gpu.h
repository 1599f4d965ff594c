// The one header of CUDA kernels. nvcc compiles them for a GPU; without nvcc the same files are
// compiled by the host compiler over emulate/, which runs blocks and threads as fibers on the CPU
// (docs/cuda_without_a_gpu.md). For both to accept a kernel:
//  - launch by gpu::launch only; parameters are plain values and pointers to device memory;
//  - shared memory by GPU_SHARED and GPU_DYNAMIC_SHARED; no other static or constant variables;
//  - block sizes are multiples of 32; every thread reaches every __syncthreads(); warp operations
//    take the full mask under warp-uniform control flow; __syncwarp() between lanes' writes and
//    reads (shuffles order no memory);
//  - no float atomics, no std:: functions, no inline PTX outside this header: an instruction is a
//    wrapper here, with one body for the GPU and one for the emulation;
//  - bf16 is storage: load, compute in float, store (rounded once).
#pragma once

#include <cmath>
#include <numbers>

#include "kernels/cuda/runtime.h"
#include "kernels/types.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#define GPU_UNROLL _Pragma("unroll")
#define GPU_NO_UNROLL _Pragma("unroll 1")
// A shared array, its type last: GPU_SHARED(total, float[32]);
#define GPU_SHARED(name, ...) __shared__ ::hrm::gpu::TypeOf<__VA_ARGS__> name
// The shared memory whose size launch() was given, as bytes aligned to 16.
#define GPU_DYNAMIC_SHARED(name)                                  \
  extern __shared__ __align__(16) std::byte gpu_dynamic_shared[]; \
  std::byte* name = gpu_dynamic_shared
#else
#include "kernels/cuda/emulate/emulate.h"
#define GPU_UNROLL
#define GPU_NO_UNROLL
#define GPU_SHARED(name, ...)                                                         \
  auto& name = *static_cast<::hrm::gpu::TypeOf<__VA_ARGS__>*>(::hrm::emulate::shared( \
      []() -> const void* {                                                           \
        static constinit char key = 0;                                                \
        return &key;                                                                  \
      }(),                                                                            \
      sizeof(::hrm::gpu::TypeOf<__VA_ARGS__>)))
#define GPU_DYNAMIC_SHARED(name) std::byte* name = ::hrm::emulate::dynamic_shared()
#endif

namespace hrm::gpu {

template <class T>
struct TypeIs {
  using type = T;
};
template <class T>
using TypeOf = typename TypeIs<T>::type;

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

// Launching ---------------------------------------------------------------------------------------

// launch<kernel>(grid, block, dynamic shared bytes, context, arguments...): queued on the context's
// stream; a launch that the device refuses throws.
#ifdef __CUDACC__
template <class K>
struct Launcher;
template <class... P>
struct Launcher<void (*)(P...)> {
  template <class Kernel>
  static void run(Kernel kernel, dim3 grid, dim3 block, size_t shared, const Context& context,
                  P... arguments) {
    static_assert((std::is_trivially_copyable_v<P> && ...));
    if (shared > 48 * 1024)
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared)),
            "shared memory");
    kernel<<<grid, block, shared,
             static_cast<cudaStream_t>(context.stream ? context.stream : cuda::stream())>>>(
        arguments...);
    check(cudaGetLastError(), "launch");
  }
};
#else
template <class K>
struct Launcher;
template <class... P>
struct Launcher<void (*)(P...)> {
  static void run(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                  const Context& context, P... arguments) {
    static_assert((std::is_trivially_copyable_v<P> && ...));
    emulate::launch(grid, block, shared, context.stream,
                    [kernel, arguments...] { kernel(arguments...); });
  }
};
#endif

template <auto kernel, class... A>
void launch(dim3 grid, dim3 block, size_t shared, const Context& context, A... arguments) {
#ifndef __CUDACC__
  emulate::name_next_launch(__PRETTY_FUNCTION__);
#endif
  Launcher<decltype(kernel)>::run(kernel, grid, block, shared, context, arguments...);
}

// Blocks of `block` threads for n elements, at least one; kernels stride over what is left when n
// needs more than `most`.
inline dim3 blocks_for(int64_t n, int64_t block, int64_t most = 1 << 16) {
  const int64_t blocks = (n + block - 1) / block;
  return dim3(static_cast<unsigned>(blocks < 1 ? 1 : (blocks > most ? most : blocks)));
}

// Threads of a block that handles a row of n items: none idle but those of its last warp, if it
// goes over the row once, and as few as can be if more often.
inline dim3 threads_for(int64_t n, int64_t most = 256) {
  const int64_t passes = (n + most - 1) / most, each = (n + passes - 1) / passes;
  return dim3(static_cast<unsigned>((each + kWarp - 1) / kWarp * kWarp));
}

// Index of this thread in the grid, and the number of threads: for (i = first(); i < n; i +=
// stride()).
__device__ inline int64_t first() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t stride() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }
__device__ inline int lane() { return static_cast<int>(threadIdx.x % kWarp); }
__device__ inline int warp() { return static_cast<int>(threadIdx.x / kWarp); }

// Numbers -----------------------------------------------------------------------------------------

__device__ inline float load(float v) { return v; }
__device__ inline double load(double v) { return v; }
__device__ inline float load(bfloat16 v) {
  return __uint_as_float(static_cast<unsigned>(v.bits) << 16);
}
__device__ inline int32_t load(int32_t v) { return v; }
__device__ inline uint8_t load(uint8_t v) { return v; }

// The bits of the nearest bf16, ties to even; NaN stays NaN.
__device__ inline unsigned bf16_bits(float value) {
  const unsigned u = __float_as_uint(value);
  const unsigned rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return (u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded;
}
// Two bf16 in a register, the first in the low half.
__device__ inline unsigned pack_bf16(float low, float high) {
#ifdef __CUDACC__
  unsigned packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#else
  return bf16_bits(low) | bf16_bits(high) << 16;
#endif
}
__device__ inline float low_bf16(unsigned packed) { return __uint_as_float(packed << 16); }
__device__ inline float high_bf16(unsigned packed) { return __uint_as_float(packed & 0xffff0000u); }

template <class T, class V>
__device__ inline void store(T& to, V value) {
  if constexpr (std::is_same_v<T, bfloat16>)
    to.bits = static_cast<uint16_t>(pack_bf16(static_cast<float>(value), 0.0f));
  else
    to = static_cast<T>(value);
}
// The value a T would hold.
template <class T>
__device__ inline arithmetic<T> rounded(arithmetic<T> value) {
  if constexpr (std::is_same_v<T, bfloat16>)
    return __uint_as_float(pack_bf16(0.0f, value));
  else
    return value;
}

// Whether packs of sixteen bytes can be read or written there.
inline bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// Sixteen bytes of T: one memory instruction.
template <class T>
struct Pack {
  static constexpr int kSize = 16 / static_cast<int>(sizeof(T));
  arithmetic<T> v[kSize];

  // p is aligned to 16 bytes.
  __device__ void read(const T* p) {
    const uint4 raw = *reinterpret_cast<const uint4*>(p);
    const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
    GPU_UNROLL
    for (int i = 0; i < kSize; ++i) {
      if constexpr (std::is_same_v<T, bfloat16>)
        v[i] = i % 2 ? high_bf16(words[i / 2]) : low_bf16(words[i / 2]);
      else if constexpr (std::is_same_v<T, double>)
        v[i] = __hiloint2double(static_cast<int>(words[2 * i + 1]), static_cast<int>(words[2 * i]));
      else
        v[i] = __uint_as_float(words[i]);
    }
  }
  __device__ void write(T* p) const {
    unsigned words[4];
    GPU_UNROLL
    for (int i = 0; i < kSize; ++i) {
      if constexpr (std::is_same_v<T, bfloat16>) {
        if (i % 2 == 0) words[i / 2] = pack_bf16(v[i], v[i + 1]);
      } else if constexpr (std::is_same_v<T, double>) {
        words[2 * i] = static_cast<unsigned>(__double2loint(v[i]));
        words[2 * i + 1] = static_cast<unsigned>(__double2hiint(v[i]));
      } else {
        words[i] = __float_as_uint(v[i]);
      }
    }
    *reinterpret_cast<uint4*>(p) = make_uint4(words[0], words[1], words[2], words[3]);
  }
};

__device__ inline float exponential(float x) { return expf(x); }
__device__ inline double exponential(double x) { return exp(x); }
__device__ inline float logarithm(float x) { return logf(x); }
__device__ inline double logarithm(double x) { return log(x); }
__device__ inline float square_root(float x) { return sqrtf(x); }
__device__ inline double square_root(double x) { return sqrt(x); }
// sin(x + shift pi). The library's sin keeps an array for the digits of pi that huge x ask for, in
// local memory, which would slow down every kernel that it is a part of. Here x / pi is found in
// two parts, what is a multiple of 2 is taken away, and the rest has few digits.
__device__ inline double sine(double x, double shift) {
  constexpr double kHigh = std::numbers::inv_pi, kLow = -1.9678676675182486e-17;  // 1 / pi
  const double turns = x * kHigh;
  const double rest = fma(x, kHigh, -turns) + x * kLow;
  const double part = turns - 2 * rint(turns * 0.5);
#ifdef __CUDACC__
  return sinpi(part + (rest + shift));
#else
  return std::sin(std::numbers::pi * (part + (rest + shift)));
#endif
}
__device__ inline float sine(float x, double shift) {
  return static_cast<float>(sine(static_cast<double>(x), shift));
}
// The one sigmoid of the library: targets and losses must agree to the last bit.
template <class A>
__device__ inline A sigmoid(A x) {
  return A(1) / (A(1) + exponential(-x));
}
inline constexpr float kLog2e = 1.4426950408889634f;
// An instruction each, for results of which only the eight bits of a bf16 stay. Relative errors of
// 2^-22 and 2^-23 (PTX manual); what is below 2^-126 becomes zero.
__device__ inline float exp2_approx(float x) {
#ifdef __CUDACC__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  const float y = exp2f(x);
  return y < 0x1p-126f ? 0.0f : y;
#endif
}
__device__ inline float reciprocal_approx(float x) {
#ifdef __CUDACC__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  const float y = 1.0f / x;
  return fabsf(y) < 0x1p-126f ? 0.0f : y;
#endif
}
template <class A>
__device__ inline A larger(A a, A b) {
  return a > b ? a : b;
}

// Reductions --------------------------------------------------------------------------------------

// Sum (maximum) over the lanes of a warp, the same in every lane.
template <class A>
__device__ inline A warp_sum(A v) {
  GPU_UNROLL
  for (int offset = kWarp / 2; offset > 0; offset /= 2) v += __shfl_xor_sync(kAllLanes, v, offset);
  return v;
}
template <class A>
__device__ inline A warp_max(A v) {
  GPU_UNROLL
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    v = larger(v, __shfl_xor_sync(kAllLanes, v, offset));
  return v;
}
// Sum over a block of at most 1024 threads, the same in every thread; `scratch` is GPU_SHARED
// A[32]. Safe to call again with the same scratch.
template <class A>
__device__ inline A block_sum(A v, A (&scratch)[kWarp]) {
  v = warp_sum(v);
  if (lane() == 0) scratch[warp()] = v;
  __syncthreads();
  A total = 0;
  for (int w = 0; w < static_cast<int>(blockDim.x) / kWarp; ++w) total += scratch[w];
  __syncthreads();
  return total;
}

// Asynchronous copies to shared memory ------------------------------------------------------------

// 16 bytes from global to shared memory, both aligned to 16; zeros if not `valid` (then `from` is
// not read). Complete for this thread after cp_async_wait, for others after a barrier behind it.
__device__ inline void cp_async_16(void* shared, const void* from, bool valid = true) {
#ifdef __CUDACC__
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
#else
  emulate::cp_async(shared, from, valid);
#endif
}
__device__ inline void cp_async_commit() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emulate::cp_async_commit();
#endif
}
// Waits until at most `pending` of this thread's newest groups are under way.
template <int pending>
__device__ inline void cp_async_wait() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#else
  emulate::cp_async_wait(pending);
#endif
}

// Tensor cores ------------------------------------------------------------------------------------

// Four 8x8 matrices of bf16 from shared memory: lane l gives the address of a row (row l % 8 of
// matrix l / 8; 16 bytes, aligned), and gets of matrix i in r[i] row l / 4, columns 2 (l % 4) and
// the next; with `transposed` column l / 4, rows 2 (l % 4) and the next.
template <bool transposed = false>
__device__ inline void ldmatrix_x4(unsigned (&r)[4], const void* row) {
#ifdef __CUDACC__
  const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
#else
  emulate::ldmatrix_x4(r, row, transposed);
#endif
}
// d += a b for a 16x16 (rows of A), b 16x8, d 16x8, bf16 in and f32 sums, by one warp. Lane l, g =
// l / 4, t = l % 4: a[0] = A(g, 2t..2t+1), a[1] = A(g + 8, 2t..), a[2] = A(g, 2t + 8..), a[3] =
// A(g + 8, 2t + 8..); b[0] = B(2t..2t+1, g), b[1] = B(2t + 8.., g); d = D(g, 2t), D(g, 2t + 1),
// D(g + 8, 2t), D(g + 8, 2t + 1).
__device__ inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  emulate::mma_bf16(d, a, b0, b1);
#endif
}

}  // namespace hrm::gpu

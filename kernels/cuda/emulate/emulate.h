// CUDA as far as gpu.h's kernels use it, on the CPU: keywords, vector types, intrinsics. Every
// thread of a block is a fiber with a stack of its own; it runs until it must wait for others
// (a barrier, a warp operation), which is the largest skew there can be, and the order in which
// threads get their turn can be reversed or shuffled (set_order). Blocks run one after another.
// What a kernel does wrong is an Error out of launch(), with the places of the threads involved.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <set>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// The running thread: plain globals, so that `break file.cu:12 if threadIdx.x == 3` works in gdb.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace hrm::emulate {

using Site = std::source_location;

// In what order blocks, warps and threads run when more than one could.
enum class Order { forward, reverse, random };
void set_order(Order order);
// The next recording of a graph throws at this call (the first is 0).
void fail_recording_at(int64_t call);
// How many calls the last recording took.
int64_t recorded_calls();
// Work of this thread that goes on beside the kernels and waits for others: `advance` moves it on
// and says whether it is done. Nothing is called again that is.
void begin_beside(std::function<bool()> advance);
// How many of these there have been, and whether the first so many are done, after all that is
// under way has been moved on.
int64_t begun_beside();
bool done_beside(int64_t first);
void drop_beside();
// An Error if some of it is not done: on a GPU what follows would wait for it, without a limit of
// time.
void check_nothing_beside();
// Whether these bytes are memory of the device.
bool on_device(const void* begin, size_t bytes);

// Every kernel that was launched since the last call, by name: its template and arguments.
std::set<std::string> take_launched_kernels();

// What a thread waits at. Each returns when all threads concerned have arrived at the same place.
void sync_block(const Site& site);
void sync_warp(unsigned mask, const Site& site);
// Deposits `bytes` of this lane and returns, once all 32 lanes have arrived, the 32 deposits one
// after another. They stay until the lane's next exchange.
inline constexpr size_t kExchange = 48;  // most bytes of a lane
const std::byte* exchange(const void* mine, size_t bytes, unsigned mask, const Site& site);

// The block's shared array of this key; memory starts as 0xff (a NaN) in every block.
void* shared(const void* key, size_t bytes);
std::byte* dynamic_shared();
void cp_async(void* to, const void* from, bool valid);
void cp_async_commit();
void cp_async_wait(int pending);
void ldmatrix_x4(unsigned (&r)[4], const void* row, bool transposed,
                 const Site& site = Site::current());
void mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1,
              const Site& site = Site::current());

// One launch: `body` is what a thread runs. Trivially copyable, so that a stream can keep it.
struct Launch {
  dim3 grid, block;
  size_t shared_bytes;
  void (*body)(const void* closure);
  const void* closure;
  size_t closure_bytes;
};
void launch(const Launch& launch, void* stream);
void name_next_launch(const char* name);
template <class Body>
void launch(dim3 grid, dim3 block, size_t shared_bytes, void* stream, const Body& body) {
  static_assert(std::is_trivially_copyable_v<Body>);
  launch({grid, block, shared_bytes,
          [](const void* closure) { (*static_cast<const Body*>(closure))(); }, &body, sizeof(Body)},
         stream);
}

template <class T>
T lane_value(const T& mine, int source, unsigned mask, const Site& site) {
  static_assert(sizeof(T) <= kExchange);
  T value;
  const std::byte* all = exchange(&mine, sizeof(T), mask, site);
  std::memcpy(&value, all + static_cast<size_t>(source & 31) * sizeof(T), sizeof(T));
  return value;
}

}  // namespace hrm::emulate

// Device functions --------------------------------------------------------------------------------

inline void __syncthreads(const hrm::emulate::Site& site = hrm::emulate::Site::current()) {
  hrm::emulate::sync_block(site);
}
inline void __syncwarp(unsigned mask = 0xffffffffu,
                       const hrm::emulate::Site& site = hrm::emulate::Site::current()) {
  hrm::emulate::sync_warp(mask, site);
}
template <class T>
T __shfl_sync(unsigned mask, T v, int source, int = 32,
              const hrm::emulate::Site& site = hrm::emulate::Site::current()) {
  return hrm::emulate::lane_value(v, source, mask, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int bits, int = 32,
                  const hrm::emulate::Site& site = hrm::emulate::Site::current()) {
  return hrm::emulate::lane_value(v, static_cast<int>(threadIdx.x % 32) ^ bits, mask, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, int delta, int = 32,
                 const hrm::emulate::Site& site = hrm::emulate::Site::current()) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  return hrm::emulate::lane_value(v, lane >= delta ? lane - delta : lane, mask, site);
}
inline unsigned __ballot_sync(unsigned mask, bool predicate,
                              const hrm::emulate::Site& site = hrm::emulate::Site::current()) {
  const std::byte* all = hrm::emulate::exchange(&predicate, 1, mask, site);
  unsigned bits = 0;
  for (int i = 0; i < 32; ++i) bits |= all[i] != std::byte{0} ? 1u << i : 0;
  return bits;
}
// Not instrumented, so that the checker of races does not see it.
int atomicOr(int* address, int value);
inline int __popc(unsigned v) { return __builtin_popcount(v); }

inline float __uint_as_float(unsigned v) { return __builtin_bit_cast(float, v); }
inline unsigned __float_as_uint(float v) { return __builtin_bit_cast(unsigned, v); }
inline double __hiloint2double(int high, int low) {
  return __builtin_bit_cast(double, static_cast<uint64_t>(static_cast<unsigned>(high)) << 32 |
                                        static_cast<unsigned>(low));
}
inline int __double2loint(double v) {
  return static_cast<int>(static_cast<unsigned>(__builtin_bit_cast(uint64_t, v)));
}
inline int __double2hiint(double v) {
  return static_cast<int>(static_cast<unsigned>(__builtin_bit_cast(uint64_t, v) >> 32));
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
inline float __expf(float x) { return expf(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }

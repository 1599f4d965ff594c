#if HRM_WITH_CUDA && defined(HRM_EMULATE)
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/runtime.h"
#include "tests/emulate/faults.h"

namespace hrm::test {
namespace {

// n elements of device memory, uninitialised or copied from the host.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(size_t n) : n_(n), data_(static_cast<T*>(cuda::allocate(n * sizeof(T)))) {}
  OnDevice(const std::vector<T>& values) : OnDevice(values.size()) {
    cuda::copy(data_, values.data(), n_ * sizeof(T), cuda::Copy::to_device, {});
  }
  ~OnDevice() { cuda::release(data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  operator T*() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> result(n_);
    cuda::copy(result.data(), data_, n_ * sizeof(T), cuda::Copy::to_host, {});
    return result;
  }

 private:
  size_t n_;
  T* data_;
};
using Floats = OnDevice<float>;
using Values = std::vector<float>;

// Seen by the scheduler ---------------------------------------------------------------------------

__global__ void half_block_barrier(bool faulty) {
  if (!faulty || threadIdx.x < 32) __syncthreads();
  __syncthreads();
}
__global__ void two_barriers(bool faulty) {
  if (faulty && gpu::lane() < 16)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void return_before_barrier(bool faulty) {
  if (faulty && threadIdx.x == 5) return;
  __syncthreads();
}
__global__ void fewer_warps(bool faulty) {
  if (!faulty || gpu::warp() == 1) __syncthreads();
}
__global__ void half_warp_shuffle(bool faulty) {
  if (!faulty || gpu::lane() < 16) __shfl_xor_sync(gpu::kAllLanes, 1, 1);
}
__global__ void two_shuffles(bool faulty) {
  if (faulty && gpu::lane() < 16)
    __shfl_xor_sync(gpu::kAllLanes, 1, 1);
  else
    __shfl_xor_sync(gpu::kAllLanes, 1, 1);
}
__global__ void partial_mask(bool faulty) {
  __shfl_xor_sync(faulty ? 0xffffu : gpu::kAllLanes, 1, 1);
}
__global__ void partial_warp_barrier(bool faulty) { __syncwarp(faulty ? 0xffffu : gpu::kAllLanes); }
__global__ void copy_not_awaited(bool faulty, const float* in) {
  GPU_SHARED(buffer, float[128]);
  gpu::cp_async_16(&buffer[threadIdx.x * 4], in + threadIdx.x * 4);
  gpu::cp_async_commit();
  if (!faulty) gpu::cp_async_wait<0>();
}
__global__ void misaligned_copy(bool faulty, const float* in) {
  GPU_SHARED(buffer, float[132]);
  gpu::cp_async_16(&buffer[threadIdx.x * 4], in + threadIdx.x * 4 + (faulty ? 1 : 0));
  gpu::cp_async_commit();
  gpu::cp_async_wait<0>();
}

// Seen by the checker -----------------------------------------------------------------------------

__global__ void past_static_shared(bool faulty) {
  GPU_SHARED(buffer, float[32]);
  float* values = buffer;  // of unknown size
  values[threadIdx.x + (faulty ? 1 : 0)] = 1;
}
__global__ void past_dynamic_shared(bool faulty) {
  GPU_SHARED(behind, float[32]);
  GPU_DYNAMIC_SHARED(memory);
  behind[threadIdx.x] = 0;
  reinterpret_cast<float*>(memory)[threadIdx.x + (faulty ? 1 : 0)] = 1;
}
__global__ void past_global(bool faulty, float* out) { out[threadIdx.x + (faulty ? 1 : 0)] = 1; }
__global__ void before_global(bool faulty, float* out, const float* in) {
  out[threadIdx.x] = in[static_cast<int>(threadIdx.x) - (faulty ? 1 : 0)];
}
__global__ void null_pointer(bool faulty, float* out) {
  *(faulty && threadIdx.x == 31 ? nullptr : out + threadIdx.x) = 1;
}
__global__ void released_memory(float* out) { out[threadIdx.x] = 1; }
__global__ void misaligned_vector(bool faulty, float* out, const float* in) {
  gpu::Pack<float> p;
  p.read(in + threadIdx.x * 4 + (faulty ? 1 : 0));
  p.write(out + threadIdx.x * 4);
}
__global__ void past_local(bool faulty, float* out) {
  float values[4] = {1, 2, 3, 4};
  out[threadIdx.x] = values[threadIdx.x % 4 + (faulty ? 1 : 0)];
}
// Each thread leaves something for its neighbour; 64 threads.
__global__ void no_block_barrier(bool faulty, float* out) {
  GPU_SHARED(buffer, float[64]);
  buffer[threadIdx.x] = 0;
  __syncthreads();
  buffer[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (!faulty) __syncthreads();
  out[threadIdx.x] = buffer[threadIdx.x ^ 1];
}
__global__ void warp_barrier_for_block(bool faulty, float* out) {
  GPU_SHARED(buffer, float[64]);
  buffer[threadIdx.x] = 0;
  __syncthreads();
  buffer[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncwarp();
  if (!faulty) __syncthreads();
  out[threadIdx.x] = buffer[threadIdx.x ^ 32];
}
__global__ void no_warp_barrier(bool faulty, float* out) {
  GPU_SHARED(buffer, float[32]);
  buffer[threadIdx.x] = 0;
  __syncwarp();
  buffer[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (!faulty) __syncwarp();
  out[threadIdx.x] = buffer[31 - threadIdx.x];
}
// A shuffle makes every lane wait, but orders no memory.
__global__ void shuffle_for_warp_barrier(bool faulty, float* out) {
  GPU_SHARED(buffer, float[32]);
  buffer[threadIdx.x] = static_cast<float>(threadIdx.x);
  __shfl_xor_sync(gpu::kAllLanes, 1, 1);
  if (!faulty) __syncwarp();
  out[threadIdx.x] = buffer[31 - threadIdx.x];
}
__global__ void read_then_write(bool faulty, float* out) {
  GPU_SHARED(buffer, float[64]);
  buffer[threadIdx.x] = 1;
  __syncthreads();
  float total = 0;
  for (int i = 0; i < 64; ++i) total += buffer[i];
  if (!faulty) __syncthreads();
  buffer[threadIdx.x] = 2;
  out[threadIdx.x] = total;
}
// The first and the last thread read, one in between writes.
__global__ void one_of_many_reads(bool faulty, float* data) {
  float value = 0;
  if (threadIdx.x != 40) value = data[0];
  if (!faulty) __syncthreads();
  if (threadIdx.x == 40) data[0] = 1;
  data[threadIdx.x + 1] = value;
}
__global__ void global_race_in_block(bool faulty, float* data) {
  data[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (!faulty) __syncthreads();
  const float neighbour = data[threadIdx.x ^ 33];
  __syncthreads();
  data[threadIdx.x] = neighbour;
}
__global__ void all_write_one(bool faulty, float* data) { data[faulty ? 0 : threadIdx.x] = 3; }
__global__ void global_race_between_blocks(bool faulty, float* data) {
  data[blockIdx.x * 32 + threadIdx.x] = 1;
  __syncthreads();
  const unsigned block = faulty ? (blockIdx.x + 1) % gridDim.x : blockIdx.x;
  data[blockIdx.x * 32 + threadIdx.x] += data[block * 32 + threadIdx.x];
}
__global__ void read_then_write_between_blocks(bool faulty, float* data) {
  const float value = data[64];
  __syncthreads();
  if (threadIdx.x == 0) data[faulty ? 64 : blockIdx.x] = value;
}
__global__ void sum_of_blocks(bool faulty, float* data) {
  if (threadIdx.x == 0) data[faulty ? 0 : blockIdx.x] += 1;
}
__global__ void uninitialised_shared(bool faulty, float* out) {
  GPU_SHARED(buffer, float[33]);
  buffer[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = buffer[threadIdx.x + (faulty ? 1 : 0)];
}
// What an earlier block left in shared memory does not count.
__global__ void left_by_earlier_block(bool faulty, float* out) {
  GPU_SHARED(buffer, float[32]);
  if (!faulty || blockIdx.x == 0) buffer[threadIdx.x] = 1;
  if (!faulty || blockIdx.x == 1) out[blockIdx.x * 32 + threadIdx.x] = buffer[threadIdx.x];
}
__global__ void uninitialised_global(float* out, const float* in) {
  out[threadIdx.x] = in[threadIdx.x];
}
__global__ void half_initialised(float* out, const float* in) {
  out[threadIdx.x] = in[threadIdx.x];
}
__global__ void write_byte(bool faulty, uint8_t* data) {
  data[threadIdx.x] = 1;
  if (faulty) data[threadIdx.x ^ 2] = 2;
}
__global__ void copy_read_early(bool faulty, float* out, const float* in) {
  GPU_SHARED(buffer, float[128]);
  for (unsigned i = threadIdx.x; i < 128; i += 32) buffer[i] = 0;
  __syncthreads();
  gpu::cp_async_16(&buffer[threadIdx.x * 4], in + threadIdx.x * 4);
  gpu::cp_async_commit();
  if (!faulty) gpu::cp_async_wait<0>();
  out[threadIdx.x] = buffer[threadIdx.x * 4];
  if (faulty) gpu::cp_async_wait<0>();
}
__global__ void copy_without_barrier(bool faulty, float* out, const float* in) {
  GPU_SHARED(buffer, float[128]);
  gpu::cp_async_16(&buffer[threadIdx.x * 4], in + threadIdx.x * 4);
  gpu::cp_async_commit();
  gpu::cp_async_wait<0>();
  if (!faulty) __syncthreads();
  out[threadIdx.x] = buffer[(threadIdx.x * 4 + 4) % 128];
}
// The buffer is filled again before everyone has read it.
__global__ void copy_too_early(bool faulty, float* out, const float* in) {
  GPU_SHARED(buffer, float[128]);
  float total = 0;
  for (int i = 0; i < 3; ++i) {
    gpu::cp_async_16(&buffer[threadIdx.x * 4], in + threadIdx.x * 4);
    gpu::cp_async_commit();
    gpu::cp_async_wait<0>();
    __syncthreads();
    for (int j = 0; j < 128; ++j) total += buffer[j];
    if (!faulty) __syncthreads();
  }
  out[threadIdx.x] = total;
}
__global__ void matrix_without_barrier(bool faulty, unsigned* out) {
  GPU_SHARED(matrix, uint4[32]);
  matrix[threadIdx.x] = make_uint4(1, 2, 3, 4);
  if (!faulty) __syncwarp();
  unsigned r[4];
  gpu::ldmatrix_x4(r, &matrix[threadIdx.x ^ 7]);
  out[threadIdx.x] = r[0] + r[3];
}
__global__ void mixed_with_atomic(bool faulty, int* flag) {
  if (faulty && blockIdx.x == 1)
    *flag = 1;
  else
    atomicOr(flag, 1);
}

// Operations --------------------------------------------------------------------------------------

__global__ void warp_operations_kernel(unsigned* out, const unsigned* in) {
  const int l = gpu::lane();
  const unsigned v = in[l];
  out[l] = __shfl_sync(gpu::kAllLanes, v, (3 * l + 1) % 32);
  out[32 + l] = __shfl_xor_sync(gpu::kAllLanes, v, 5);
  out[64 + l] = __shfl_up_sync(gpu::kAllLanes, v, 2);
  out[96 + l] = __ballot_sync(gpu::kAllLanes, v % 2 != 0);
}

template <bool transposed>
__global__ void load_matrix_kernel(unsigned* out, const unsigned short* in) {
  GPU_SHARED(matrix, uint4[32]);  // 16 rows of 16 bf16
  matrix[threadIdx.x] = reinterpret_cast<const uint4*>(in)[threadIdx.x];
  __syncwarp();
  unsigned r[4];
  gpu::ldmatrix_x4<transposed>(r, &matrix[gpu::lane() % 16 * 2 + gpu::lane() / 16]);
  for (int i = 0; i < 4; ++i) out[i * 32 + gpu::lane()] = r[i];
}

__global__ void multiply_kernel(float* c, const unsigned short* a, const unsigned short* b) {
  const int g = gpu::lane() / 4, t = gpu::lane() % 4;
  const auto pair_a = [&](int row, int column) {
    return static_cast<unsigned>(a[row * 16 + column]) |
           static_cast<unsigned>(a[row * 16 + column + 1]) << 16;
  };
  const auto pair_b = [&](int row, int column) {
    return static_cast<unsigned>(b[row * 8 + column]) |
           static_cast<unsigned>(b[(row + 1) * 8 + column]) << 16;
  };
  const unsigned fragment[4] = {pair_a(g, 2 * t), pair_a(g + 8, 2 * t), pair_a(g, 2 * t + 8),
                                pair_a(g + 8, 2 * t + 8)};
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  gpu::mma_bf16(d, fragment, pair_b(2 * t, g), pair_b(2 * t + 8, g));
  for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}

// 32 threads; 16 floats a step, four steps, two under way.
__global__ void turned_kernel(float* out, const float* in) {
  GPU_DYNAMIC_SHARED(memory);
  auto* buffers = reinterpret_cast<float*>(memory);  // 3 x 16
  const float* from = in + blockIdx.x * 64;
  const auto fetch = [&](int step) {
    if (threadIdx.x < 4)
      gpu::cp_async_16(buffers + step % 3 * 16 + threadIdx.x * 4,
                       from + step % 4 * 16 + threadIdx.x * 4, step < 4);
    gpu::cp_async_commit();
  };
  fetch(0);
  fetch(1);
  for (int step = 0; step < 4; ++step) {
    gpu::cp_async_wait<1>();
    __syncthreads();
    fetch(step + 2);
    if (threadIdx.x < 16)
      out[blockIdx.x * 64 + 63 - (static_cast<unsigned>(step) * 16 + threadIdx.x)] =
          buffers[step % 3 * 16 + static_cast<int>(threadIdx.x)];
  }
  gpu::cp_async_wait<0>();
}

__global__ void block_sums_kernel(double* out, const float* in) {
  GPU_SHARED(scratch, double[gpu::kWarp]);
  const int64_t i = gpu::first();
  const double once = gpu::block_sum(static_cast<double>(in[i]), scratch);
  out[i] = gpu::block_sum(static_cast<double>(in[i]), scratch) + (once - once);
}

__global__ void racy_sum_kernel(float* total, const float* in) { *total += in[gpu::first()]; }

__global__ void empty_kernel() {}

// Launches a kernel (faulty, arguments...).
template <auto kernel, unsigned block = 64, unsigned grid = 1, class... A>
void run(bool faulty, A... arguments) {
  gpu::launch<kernel>(dim3(grid), dim3(block), 0, Context{}, faulty, arguments...);
}
template <auto kernel, unsigned block = 64, unsigned grid = 1>
void run_with_memory(bool faulty) {
  const Floats data(Values(256, 1.0f));
  run<kernel, block, grid>(faulty, static_cast<float*>(data));
}
template <auto kernel>
void run_with_input(bool faulty) {
  const Floats in(Values(128 + 4, 1.0f)), out(128);
  run<kernel, 32>(faulty, static_cast<float*>(out), static_cast<const float*>(in));
}

}  // namespace

const std::vector<Fault>& faults() {
  static const std::vector<Fault> list = {
      {"__syncthreads by half a block", run<half_block_barrier>, "deadlock: warp 0"},
      {"two different __syncthreads", run<two_barriers>,
       "lanes 0000ffff at __syncthreads faults.cu"},
      {"return before __syncthreads", run<return_before_barrier>, "lanes 00000020 ended"},
      {"__syncthreads by fewer warps", run<fewer_warps>, "warp 1 lanes ffffffff at __syncthreads"},
      {"shuffle by half a warp", run<half_warp_shuffle>, "0000ffff at a warp operation faults.cu"},
      {"two different shuffles", run<two_shuffles>, "ffff0000 at a warp operation faults.cu"},
      {"shuffle with a partial mask", run<partial_mask>, "without the full mask at faults.cu"},
      {"__syncwarp with a partial mask", run<partial_warp_barrier>, "without the full mask"},
      {"end before a copy is complete",
       [](bool faulty) {
         const Floats in(Values(128, 1.0f));
         run<copy_not_awaited, 32>(faulty, static_cast<const float*>(in));
       },
       "asynchronous copies under way"},
      {"misaligned asynchronous copy",
       [](bool faulty) {
         const Floats in(Values(132, 1.0f));
         run<misaligned_copy, 32>(faulty, static_cast<const float*>(in));
       },
       "misaligned address"},
  };
  return list;
}

namespace {

std::vector<Fault> out_of_bounds() {
  return {
      {"past static shared memory", run<past_static_shared, 32>, "shared memory, byte 128 of 128"},
      {"past dynamic shared memory",
       [](bool faulty) {
         gpu::launch<past_dynamic_shared>(dim3(1), dim3(32), 128, Context{}, faulty);
       },
       "out of bounds: write of 4 bytes at shared memory, byte 128 of 128: thread 31 at "
       "faults.cu:"},
      {"past global memory",
       [](bool faulty) {
         const Floats out(64);
         run<past_global>(faulty, static_cast<float*>(out));
       },
       "out of bounds: write of 4 bytes at global memory, byte 256 of 256: thread 63 at "
       "faults.cu:"},
      {"before global memory", run_with_input<before_global>, "out of bounds: read of 4 bytes"},
      {"null pointer", run_with_memory<null_pointer, 32>, "null pointer at faults.cu:"},
      {"released memory",
       [](bool faulty) {
         const Floats kept(32);
         float* gone = Floats(32);
         gpu::launch<released_memory>(dim3(1), dim3(32), 0, Context{},
                                      faulty ? gone : static_cast<float*>(kept));
       },
       "out of bounds: write of 4 bytes"},
      {"misaligned vector", run_with_input<misaligned_vector>, "misaligned access"},
      {"past a local array", run_with_memory<past_local>,
       "out of the bounds of an array at faults.cu"},
  };
}

std::vector<Fault> races() {
  return {
      {"no __syncthreads", run_with_memory<no_block_barrier>, "race "},
      {"__syncwarp for __syncthreads", run_with_memory<warp_barrier_for_block>, "race "},
      {"no __syncwarp", run_with_memory<no_warp_barrier, 32>, "race "},
      {"shuffle for __syncwarp", run_with_memory<shuffle_for_warp_barrier, 32>,
       "race write/read: shared memory"},
      {"read, then write", run_with_memory<read_then_write>, "race "},
      {"one of many reads", run_with_memory<one_of_many_reads>, "race "},
      {"race in global memory", run_with_memory<global_race_in_block>, "race "},
      {"all write the same", run_with_memory<all_write_one>,
       "race write/write: global memory, byte 0"},
      {"race between blocks", run_with_memory<global_race_between_blocks, 32, 4>,
       "of another block"},
      {"read, then write between blocks", run_with_memory<read_then_write_between_blocks, 32, 3>,
       "race "},
      {"sum of blocks", run_with_memory<sum_of_blocks, 32, 3>, "race write/read: global memory"},
      {"race of single bytes",
       [](bool faulty) {
         const OnDevice<uint8_t> data(64);
         run<write_byte>(faulty, static_cast<uint8_t*>(data));
       },
       "race write/write: global memory, byte "},
      {"atomic and plain write",
       [](bool faulty) {
         const OnDevice<int> flag(std::vector<int>{0});
         run<mixed_with_atomic, 32, 3>(faulty, static_cast<int*>(flag));
       },
       "race "},
  };
}

std::vector<Fault> uninitialised_reads() {
  return {
      {"uninitialised shared memory", run_with_memory<uninitialised_shared, 32>,
       "uninitialised read: shared memory, byte 128 of 132: thread 31 at faults.cu:"},
      {"shared memory of an earlier block", run_with_memory<left_by_earlier_block, 32, 2>,
       "uninitialised read: shared memory"},
      {"uninitialised global memory",
       [](bool faulty) {
         const Floats out(32), none(32), in(Values(32, 1.0f));
         gpu::launch<uninitialised_global>(dim3(1), dim3(32), 0, Context{},
                                           static_cast<float*>(out),
                                           static_cast<const float*>(faulty ? none : in));
       },
       "uninitialised read: global memory, byte "},
      {"half initialised global memory",
       [](bool faulty) {
         const Floats out(32), in(32);
         const Values some(32, 1.0f);
         cuda::copy(in, some.data(), faulty ? 10 : 128, cuda::Copy::to_device, {});
         gpu::launch<half_initialised>(dim3(1), dim3(32), 0, Context{}, static_cast<float*>(out),
                                       static_cast<const float*>(in));
       },
       "uninitialised read: global memory, byte "},
  };
}

std::vector<Fault> early_copies() {
  return {
      {"read before a copy is complete", run_with_input<copy_read_early>,
       "while the copy is under way"},
      {"copy and no barrier", run_with_input<copy_without_barrier>, "shared memory, byte "},
      {"copy before all have read", run_with_input<copy_too_early>, "race "},
      {"ldmatrix without __syncwarp",
       [](bool faulty) {
         const OnDevice<unsigned> out(32);
         run<matrix_without_barrier, 32>(faulty, static_cast<unsigned*>(out));
       },
       "shared memory, byte "},
  };
}

}  // namespace

const std::vector<Fault>& checker_faults() {
  static const std::vector<Fault> list = [] {
    std::vector<Fault> all;
    for (auto* part : {out_of_bounds, races, uninitialised_reads, early_copies})
      for (Fault& fault : part()) all.push_back(std::move(fault));
    return all;
  }();
  return list;
}

std::vector<unsigned> warp_operations(const std::vector<unsigned>& in) {
  const OnDevice<unsigned> from(in), out(128);
  gpu::launch<warp_operations_kernel>(dim3(1), dim3(32), 0, Context{}, static_cast<unsigned*>(out),
                                      static_cast<const unsigned*>(from));
  return out.values();
}
std::vector<unsigned> load_matrix(const std::vector<unsigned short>& matrix, bool transposed) {
  const OnDevice<unsigned short> in(matrix);
  const OnDevice<unsigned> out(128);
  const auto launch = [&]<bool t>() {
    gpu::launch<load_matrix_kernel<t>>(dim3(1), dim3(32), 0, Context{}, static_cast<unsigned*>(out),
                                       static_cast<const unsigned short*>(in));
  };
  transposed ? launch.operator()<true>() : launch.operator()<false>();
  return out.values();
}
std::vector<float> multiply(const std::vector<unsigned short>& a,
                            const std::vector<unsigned short>& b, const std::vector<float>& c) {
  const OnDevice<unsigned short> left(a), right(b);
  const Floats out(c);
  gpu::launch<multiply_kernel>(dim3(1), dim3(32), 0, Context{}, static_cast<float*>(out),
                               static_cast<const unsigned short*>(left),
                               static_cast<const unsigned short*>(right));
  return out.values();
}
std::vector<float> turned(const std::vector<float>& in) {
  const Floats from(in), out(in.size());
  gpu::launch<turned_kernel>(dim3(static_cast<unsigned>(in.size() / 64)), dim3(32), 3 * 64,
                             Context{}, static_cast<float*>(out), static_cast<const float*>(from));
  return out.values();
}
std::vector<double> block_sums(const std::vector<float>& in) {
  const Floats from(in);
  const OnDevice<double> out(in.size());
  gpu::launch<block_sums_kernel>(dim3(static_cast<unsigned>(in.size() / 128)), dim3(128), 0,
                                 Context{}, static_cast<double*>(out),
                                 static_cast<const float*>(from));
  return out.values();
}
float racy_sum(const std::vector<float>& in) {
  const Floats from(in), out(Values{0});
  gpu::launch<racy_sum_kernel>(dim3(static_cast<unsigned>(in.size() / 32)), dim3(32), 0, Context{},
                               static_cast<float*>(out), static_cast<const float*>(from));
  return out.values()[0];
}
void launch_sized(unsigned grid_x, unsigned grid_y, unsigned block, size_t shared) {
  gpu::launch<empty_kernel>(dim3(grid_x, grid_y), dim3(block), shared, Context{});
}

}  // namespace hrm::test
#endif

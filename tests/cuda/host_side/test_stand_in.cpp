// The stand-in notices what a GPU would refuse: otherwise the other tests here would prove nothing.
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
#include "tests/cuda/host_side/stand_in.h"

#undef CHECK
#include <doctest/doctest.h>

using namespace hrm;
using stand_in::device;

namespace {

cudaStream_t stream() { return static_cast<cudaStream_t>(cuda::stream()); }

// What is noted while `work` runs.
template <class Work>
std::vector<std::string> noted(const Work& work) {
  device() = {};
  work();
  return device().violations;
}

// Whether the only thing noted has these words in it.
bool only(const std::vector<std::string>& noted, const std::string& words) {
  return noted.size() == 1 && noted[0].find(words) != std::string::npos;
}

// Notes of a launch of a kernel of `name` without pointers to look at.
std::vector<std::string> launch(const char* name, dim3 grid, dim3 block, size_t shared = 0,
                                cudaStream_t on = stream()) {
  return noted([&] { cudaLaunchKernel(stand_in::kernel(name), grid, block, nullptr, shared, on); });
}

}  // namespace

TEST_CASE("launches: the grid, the block, its registers and shared memory, the stream") {
  CHECK(launch("probe_kernel", 1, 32).empty());
  CHECK(launch("probe_kernel", dim3(1, 65535, 65535), 1024).empty());
  CHECK(only(launch("probe_kernel", 0, 32), "empty grid"));
  CHECK(only(launch("probe_kernel", dim3(1, 65536), 32), "large grid"));
  CHECK(only(launch("probe_kernel", dim3(1, 1, 65536), 32), "large grid"));
  CHECK(only(launch("probe_kernel", 1, 0), "size of the block"));
  CHECK(only(launch("probe_kernel", 1, 33), "size of the block"));
  CHECK(only(launch("probe_kernel", 1, dim3(32, 33)), "size of the block"));
  CHECK(only(launch("probe_kernel", 1, 32, 0, nullptr), "default stream"));
  // It needs more than 64 registers a thread.
  CHECK(only(launch("attention_mma_kernel", 1, 1024), "registers"));

  CHECK(launch("probe_kernel", 1, 32, 48 << 10).empty());
  CHECK(only(launch("probe_kernel", 1, 32, (48 << 10) + 16), "than it was allowed"));
  const void* kernel = stand_in::kernel("probe_kernel");
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 << 10);
  CHECK(launch("probe_kernel", 1, 32, 99 << 10).empty());
  CHECK(only(launch("probe_kernel", 1, 32, 100 << 10), "than there is"));
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 48 << 10);
}

TEST_CASE("launches: a pointer to memory of the host, or that was given back") {
  float* block = static_cast<float*>(cuda::allocate(400));
  const auto fill = [&](float* at) {
    int64_t count = 100;
    float value = 0;
    void* arguments[] = {&at, &count, &value};
    return noted(
        [&] { cudaLaunchKernel(stand_in::kernel("fill_kernel"), 1, 32, arguments, 0, stream()); });
  };
  float local = 0;
  CHECK(fill(block).empty());
  CHECK(only(fill(&local), "outside of memory"));
  CHECK(only(fill(block + 100), "outside of memory"));
  cuda::release(block);
  CHECK(only(fill(block), "outside of memory"));
}

TEST_CASE("copies: beyond the end of a block, or on the default stream") {
  auto* block = static_cast<std::byte*>(cuda::allocate(1000));
  std::byte host[1000] = {};
  const auto copy = [&](std::byte* to, size_t bytes, cudaStream_t on = stream()) {
    return noted([&] { cudaMemcpyAsync(to, host, bytes, cudaMemcpyHostToDevice, on); });
  };
  CHECK(copy(block, 1000).empty());
  CHECK(only(copy(block + 1, 1000), "1000 bytes outside of memory"));
  CHECK(only(copy(block, 1000, nullptr), "default stream"));
  cuda::release(block);
  CHECK(only(noted([&] { cudaFree(block); }), "cudaFree"));
}

TEST_CASE("recordings: calls that wait, take memory or touch the host") {
  std::byte host[64] = {};
  void* block = cuda::allocate(64);
  cuda::Event event;
  cudaEvent_t raw;
  cudaEventCreate(&raw);
  const auto recorded = [&](const auto& work) {
    return noted([&] {
      cuda::Graph graph;
      graph.record(work);
    });
  };
  CHECK(recorded([&] { cuda::copy(block, block, 64, cuda::Copy::within, {}); }).empty());
  CHECK(device().graph.size() == 1);
  void* other = nullptr;
  CHECK(only(recorded([&] { cudaMalloc(&other, 64); }), "cudaMalloc of 64 bytes"));
  CHECK(only(recorded([&] { cudaMallocHost(&other, 64); }), "cudaMallocHost"));
  CHECK(only(recorded([&] { cuda::release_pinned(other); }), "cudaFreeHost"));
  CHECK(only(recorded([&] { cudaFree(nullptr); }), "cudaFree"));
  CHECK(only(recorded([&] { cuda::synchronize(); }), "cudaStreamSynchronize"));
  CHECK(only(recorded([&] { event.record(); }), "cudaEventRecord"));
  CHECK(only(recorded([&] { cudaEventQuery(raw); }), "cudaEventQuery"));
  CHECK(only(recorded([&] { event.wait(); }), "cudaEventSynchronize"));
  CHECK(only(recorded([&] { cudaStreamWaitEvent(stream(), raw, 0); }), "cudaStreamWaitEvent"));
  CHECK(only(recorded([&] { cuda::download(host, block, 64); }), "copy to the host"));
  CHECK(only(recorded([&] { cuda::send(block, host, 64); }), "copy to the device"));
  cudaEventDestroy(raw);
  cuda::release(block);
}

TEST_CASE("recordings: a replay over memory that was given back") {
  void* block = cuda::allocate(64);
  cuda::Graph graph;
  graph.record([&] { cuda::copy(block, block, 64, cuda::Copy::within, {}); });
  CHECK(noted([&] { graph.launch(); }).empty());
  cuda::release(block);
  const auto notes = noted([&] { graph.launch(); });
  CHECK(notes.size() == 2);  // it read from there and wrote there
  CHECK(notes[0] == "copy within replayed over memory that is gone");
}

TEST_CASE("products: operands that reach beyond their memory") {
  const int64_t n = 8;
  const auto memory = [&](int64_t count) {
    return cuda::allocate(static_cast<size_t>(count) * sizeof(float));
  };
  Gemm g;
  g.m = g.n = g.k = n;
  g.a_row = g.b_row = g.c_row = n;
  g.a = memory(n * n);
  g.b = memory(n * n);
  g.c = memory(n * n);
  const auto multiply = [&](const Gemm& product) {
    return noted([&] { cuda::gemm(product, {Device::cuda, nullptr}); });
  };
  CHECK(multiply(g).empty());
  CHECK(device().queued.back().name == "product f32 NN 8 x 8 x 8");
  for (const bool left : {true, false}) {
    Gemm beyond = g;
    (left ? beyond.a : beyond.b) = memory(n * n - 1);
    CHECK(only(multiply(beyond), "256 bytes outside of memory"));
  }
  Gemm beyond = g;
  beyond.c = memory(n * n - 1);
  CHECK(only(multiply(beyond), "256 bytes outside of memory"));
  beyond = g;
  beyond.beta = 1;
  beyond.add = memory(n * n - 1);
  CHECK(only(multiply(beyond), "256 bytes outside of memory"));
  beyond = g;
  beyond.batch = 2;
  beyond.a_batch = beyond.b_batch = 0;
  beyond.c_batch = n * n;
  CHECK(only(multiply(beyond), "512 bytes outside of memory"));
  // What the library computes with would overwrite it.
  Gemm scratch = g;
  scratch.b = cuda::workspace(1);
  CHECK(only(multiply(scratch), "an operand in the workspace"));
}

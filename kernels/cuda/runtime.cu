#include "kernels/cuda/runtime.h"

#include <cuda_runtime.h>

#include <cstdio>

#include "kernels/cuda/gpu.h"

namespace hrm {

void gpu::check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // so that the next call does not report it again
  detail::fail("[cuda] ", what, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status),
               ")");
}

namespace cuda {
namespace {

__global__ void probe_kernel() {}

// Everything of the program runs on this stream of the first GPU.
cudaStream_t make_stream() {
  int count = 0, driver = 0;
  cudaDriverGetVersion(&driver);
  const cudaError_t status = cudaGetDeviceCount(&count);
  const auto version = [](int v) {
    return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10);
  };
  CHECK(status != cudaErrorInsufficientDriver || driver == 0,
        "[cuda] the NVIDIA driver supports CUDA ", version(driver), ", this build needs ",
        version(CUDART_VERSION), ". HINT: update the driver, or use --device cpu");
  CHECK(status == cudaSuccess && count > 0,
        "[cuda] no NVIDIA GPU was found on this machine. HINT: use --device cpu");
  gpu::check(cudaSetDevice(0), "select the GPU");
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, probe_kernel) != cudaSuccess) {
    cudaDeviceProp p;
    gpu::check(cudaGetDeviceProperties(&p, 0), "properties of the GPU");
    cudaGetLastError();
    hrm::detail::fail("[cuda] this build has no kernels for ", p.name, " (sm_", p.major, p.minor,
                      "). HINT: make CUDA=1 CUDA_ARCHS=", p.major, p.minor);
  }
  cudaStream_t made;
  gpu::check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "create a stream");
  return made;
}

}  // namespace

void* stream() {
  static const cudaStream_t the_stream = make_stream();
  return the_stream;
}

void require_device() { stream(); }

std::string device_name() {
  require_device();
  cudaDeviceProp p;
  gpu::check(cudaGetDeviceProperties(&p, 0), "properties of the GPU");
  int driver = 0;
  cudaDriverGetVersion(&driver);
  char text[400];
  std::snprintf(text, sizeof text, "%s, sm_%d%d, %d SMs, %.1f GiB, driver for CUDA %d.%d", p.name,
                p.major, p.minor, p.multiProcessorCount,
                static_cast<double>(p.totalGlobalMem) / (1 << 30), driver / 1000,
                driver % 1000 / 10);
  return text;
}

size_t total_memory() {
  require_device();
  size_t free = 0, total = 0;
  gpu::check(cudaMemGetInfo(&free, &total), "memory of the GPU");
  return total;
}
size_t free_memory() {
  require_device();
  size_t free = 0, total = 0;
  gpu::check(cudaMemGetInfo(&free, &total), "memory of the GPU");
  return free;
}

void* allocate(size_t bytes) {
  require_device();
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  gpu::check(status, "allocate");
  return block;
}
void release(void* block) { gpu::check(cudaFree(block), "free"); }

void* workspace(size_t bytes) {
  static void* block = nullptr;
  static size_t size = 0;
  if (bytes > size) {
    if (block) release(block);  // waits for the kernels that use it
    size = 0;
    block = allocate(bytes);
    CHECK(block, "[workspace] out of memory: asked for ", bytes >> 20,
          " MiB on cuda. HINT: use a smaller batch");
    size = bytes;
  }
  return block;
}

void copy(void* to, const void* from, size_t bytes, Copy kind, const Context&) {
  if (bytes == 0) return;
  const cudaMemcpyKind direction = kind == Copy::to_device ? cudaMemcpyHostToDevice
                                   : kind == Copy::to_host ? cudaMemcpyDeviceToHost
                                                           : cudaMemcpyDeviceToDevice;
  const auto queue = static_cast<cudaStream_t>(stream());
  gpu::check(cudaMemcpyAsync(to, from, bytes, direction, queue), "copy");
  if (kind == Copy::to_host) gpu::check(cudaStreamSynchronize(queue), "copy to the host");
}

void synchronize() {
  gpu::check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream())), "run");
}

}  // namespace cuda
}  // namespace hrm

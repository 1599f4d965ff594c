#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include <cuda_runtime.h>

#include "kernels/cuda/gpu.h"
#include "kernels/cuda/runtime.h"

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

int chosen = 0;
bool in_use = false;

// Everything of the program runs on this stream of one GPU.
cudaStream_t make_stream() {
  int count = 0, driver = 0;
  cudaDriverGetVersion(&driver);
  const cudaError_t status = cudaGetDeviceCount(&count);
  const auto version = [](int v) {
    return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10);
  };
  HRM_CHECK(status != cudaErrorInsufficientDriver || driver == 0,
            "[cuda] the NVIDIA driver supports CUDA ", version(driver), ", this build needs ",
            version(CUDART_VERSION), ". HINT: update the driver, or use --device cpu");
  HRM_CHECK(status == cudaSuccess && count > 0,
            "[cuda] no NVIDIA GPU was found on this machine. HINT: use --device cpu");
  chosen %= count;
  in_use = true;
  gpu::check(cudaSetDevice(chosen), "select the GPU");
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, probe_kernel) != cudaSuccess) {
    cudaDeviceProp p;
    gpu::check(cudaGetDeviceProperties(&p, chosen), "properties of the GPU");
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

void choose_device(int number) {
  if (!in_use) chosen = number;
}

std::string device_name() {
  require_device();
  cudaDeviceProp p;
  gpu::check(cudaGetDeviceProperties(&p, chosen), "properties of the GPU");
  int driver = 0;
  cudaDriverGetVersion(&driver);
  char text[400];
  std::snprintf(text, sizeof text, "%s, sm_%d%d, %d SMs, %.1f GiB, driver for CUDA %d.%d", p.name,
                p.major, p.minor, p.multiProcessorCount,
                static_cast<double>(p.totalGlobalMem) / (1 << 30), driver / 1000,
                driver % 1000 / 10);
  return text;
}

std::string device_identity() {
  require_device();
  char bus[64] = {}, host[256] = {};
  gpu::check(cudaDeviceGetPCIBusId(bus, sizeof bus, chosen), "identity of the GPU");
  gethostname(host, sizeof host - 1);
  return std::string(host) + " " + bus;
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
void release(void* block) { cudaFree(block); }  // also called while an error is on its way

void* workspace(size_t bytes) {
  static std::vector<void*> blocks;  // old ones stay: recorded graphs know their addresses
  static size_t size = 0;
  // In large portions: what one operation wants is often a little more than another.
  constexpr size_t kPortion = size_t{64} << 20;
  if (bytes > size) {
    const size_t portions = (bytes + kPortion - 1) / kPortion * kPortion;
    void* larger = allocate(portions);
    HRM_CHECK(larger, "[workspace] out of memory: asked for ", portions >> 20,
              " MiB on cuda. HINT: use a smaller batch");
    blocks.push_back(larger);
    size = portions;
  }
  return blocks.empty() ? nullptr : blocks.back();
}

void copy(void* to, const void* from, size_t bytes, Copy kind, const Context&) {
  if (bytes == 0) return;
  const cudaMemcpyKind direction = kind == Copy::to_device ? cudaMemcpyHostToDevice
                                   : kind == Copy::to_host ? cudaMemcpyDeviceToHost
                                                           : cudaMemcpyDeviceToDevice;
  const auto queue = static_cast<cudaStream_t>(stream());
  gpu::check(cudaMemcpyAsync(to, from, bytes, direction, queue), "copy");
  if (kind != Copy::within) gpu::check(cudaStreamSynchronize(queue), "copy");
}

void synchronize() {
  gpu::check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream())), "run");
}

void* allocate_pinned(size_t bytes) {
  require_device();
  void* block = nullptr;
  gpu::check(cudaMallocHost(&block, bytes), "allocate pinned memory");
  return block;
}
void release_pinned(void* block) { cudaFreeHost(block); }

namespace {
struct Uploads {
  Uploads() {
    require_device();
    gpu::check(cudaStreamCreateWithFlags(&queue, cudaStreamNonBlocking), "create a stream");
    gpu::check(cudaEventCreateWithFlags(&done, cudaEventDisableTiming), "create an event");
  }
  cudaStream_t queue;
  cudaEvent_t done;
};
Uploads& uploads() {
  static Uploads the_uploads;
  return the_uploads;
}
}  // namespace

void upload(void* to, const void* pinned, size_t bytes) {
  gpu::check(cudaMemcpyAsync(to, pinned, bytes, cudaMemcpyHostToDevice, uploads().queue), "upload");
}
void wait_for_uploads() {
  gpu::check(cudaEventRecord(uploads().done, uploads().queue), "record an event");
  gpu::check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream()), uploads().done),
             "wait for uploads");
}
void send(void* to, const void* pinned, size_t bytes) {
  gpu::check(cudaMemcpyAsync(to, pinned, bytes, cudaMemcpyHostToDevice,
                             static_cast<cudaStream_t>(stream())),
             "send");
}
void download(void* pinned, const void* from, size_t bytes) {
  gpu::check(cudaMemcpyAsync(pinned, from, bytes, cudaMemcpyDeviceToHost,
                             static_cast<cudaStream_t>(stream())),
             "download");
}

Event::Event() {
  require_device();
  cudaEvent_t made;
  gpu::check(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "create an event");
  event_ = made;
}
Event::~Event() { cudaEventDestroy(static_cast<cudaEvent_t>(event_)); }
void Event::record() {
  gpu::check(cudaEventRecord(static_cast<cudaEvent_t>(event_), static_cast<cudaStream_t>(stream())),
             "record an event");
}
bool Event::done() const {
  const cudaError_t status = cudaEventQuery(static_cast<cudaEvent_t>(event_));
  if (status == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  gpu::check(status, "run");
  return true;
}
void Event::wait() const {
  gpu::check(cudaEventSynchronize(static_cast<cudaEvent_t>(event_)), "run");
}

Timer::Timer() {
  require_device();
  cudaEvent_t begin, end;
  gpu::check(cudaEventCreate(&begin), "create an event");
  gpu::check(cudaEventCreate(&end), "create an event");
  begin_ = begin;
  end_ = end;
}
Timer::~Timer() {
  cudaEventDestroy(static_cast<cudaEvent_t>(begin_));
  cudaEventDestroy(static_cast<cudaEvent_t>(end_));
}
void Timer::start() {
  gpu::check(cudaEventRecord(static_cast<cudaEvent_t>(begin_), static_cast<cudaStream_t>(stream())),
             "record an event");
}
void Timer::stop() {
  gpu::check(cudaEventRecord(static_cast<cudaEvent_t>(end_), static_cast<cudaStream_t>(stream())),
             "record an event");
}
double Timer::seconds() const {
  gpu::check(cudaEventSynchronize(static_cast<cudaEvent_t>(end_)), "run");
  float ms = 0;
  gpu::check(
      cudaEventElapsedTime(&ms, static_cast<cudaEvent_t>(begin_), static_cast<cudaEvent_t>(end_)),
      "read a timer");
  return 1e-3 * static_cast<double>(ms);
}

void Graph::record(const std::function<void()>& work) {
  const auto queue = static_cast<cudaStream_t>(stream());
  gpu::check(cudaStreamBeginCapture(queue, cudaStreamCaptureModeThreadLocal),
             "begin to record a graph");
  cudaGraph_t recorded = nullptr;
  try {
    work();
  } catch (...) {
    // The capture must end, or every later call on the stream would fail.
    cudaStreamEndCapture(queue, &recorded);
    if (recorded) cudaGraphDestroy(recorded);
    cudaGetLastError();
    throw;
  }
  gpu::check(cudaStreamEndCapture(queue, &recorded), "record a graph");
  cudaGraphExec_t made = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&made, recorded, 0);
  cudaGraphDestroy(recorded);
  gpu::check(status, "prepare a graph");
  graph_ = made;
}
void Graph::launch() const {
  gpu::check(
      cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph_), static_cast<cudaStream_t>(stream())),
      "launch a graph");
}
Graph::~Graph() {
  if (graph_) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph_));
}

}  // namespace cuda
}  // namespace hrm

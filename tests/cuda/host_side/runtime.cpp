// The CUDA runtime of the stand-in: memory, copies, streams, events and graphs.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include <cuda_runtime_api.h>

#include "tests/cuda/host_side/stand_in.h"

namespace hrm::stand_in {
namespace {

constexpr size_t kTotalMemory = size_t{79} << 30;
constexpr size_t kPage = 4096;

using Blocks = std::map<const std::byte*, size_t>;
Blocks device_blocks, pinned_blocks;
size_t used = 0;

bool inside(const Blocks& blocks, const Range& range) {
  const auto* begin = static_cast<const std::byte*>(range.at);
  auto block = blocks.upper_bound(begin);
  if (block == blocks.begin()) return false;
  --block;
  return begin + range.bytes <= block->first + block->second;
}
bool inside_any(const Range& range) {
  return inside(device_blocks, range) || inside(pinned_blocks, range);
}

bool recording = false;
void forbid_while_recording(const char* call) {
  if (recording) violation(std::string(call) + " during a recording");
}

size_t pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

struct Event {
  double at = 0;
};
struct Graph {
  std::vector<Operation> nodes;
};
std::set<const void*> streams;

template <class T>
T* made(void* handle) {
  return static_cast<T*>(handle);
}

}  // namespace

Device& device() {
  static Device the_device;
  return the_device;
}

void violation(const std::string& what) { device().violations.push_back(what); }

void check_stream(const void* stream, const std::string& what) {
  if (!streams.contains(stream)) violation(what + " on the default stream");
}

void queue(Operation operation) {
  for (const Range& range : operation.memory)
    if (!inside_any(range))
      violation(operation.name + ": " + std::to_string(range.bytes) + " bytes outside of memory");
  (recording ? device().graph : device().queued).push_back(std::move(operation));
}

}  // namespace hrm::stand_in

using namespace hrm::stand_in;

extern "C" {

// The device --------------------------------------------------------------------------------------

cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::strcpy(properties->name, "stand-in");
  properties->major = 9;
  properties->multiProcessorCount = 132;
  properties->totalGlobalMem = kTotalMemory;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* id, int bytes, int) {
  std::strncpy(id, "0000:01:00.0", static_cast<size_t>(bytes));
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "refused by the stand-in"; }
const char* cudaGetErrorName(cudaError_t) { return "stand-in"; }

// Memory ------------------------------------------------------------------------------------------

cudaError_t cudaMalloc(void** block, size_t bytes) {
  if (recording) {
    violation("cudaMalloc of " + std::to_string(bytes) + " bytes during a recording");
    return cudaErrorStreamCaptureUnsupported;
  }
  if (used + pages(bytes) > kTotalMemory) return cudaErrorMemoryAllocation;
  // Addresses alone: pages that nobody touches take no memory.
  *block = mmap(nullptr, pages(bytes), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (*block == MAP_FAILED) return cudaErrorMemoryAllocation;
  device_blocks[static_cast<std::byte*>(*block)] = bytes;
  used += pages(bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* block) {
  forbid_while_recording("cudaFree");
  if (!block) return cudaSuccess;
  const auto at = device_blocks.find(static_cast<std::byte*>(block));
  if (at == device_blocks.end()) {
    violation("cudaFree of what was not allocated");
    return cudaErrorInvalidValue;
  }
  // The addresses stay taken, so that whoever still uses them is seen.
  mmap(block, pages(at->second), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
       -1, 0);
  used -= pages(at->second);
  device_blocks.erase(at);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** block, size_t bytes) {
  forbid_while_recording("cudaMallocHost");
  *block = std::calloc(1, bytes);
  pinned_blocks[static_cast<std::byte*>(*block)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* block) {
  forbid_while_recording("cudaFreeHost");
  pinned_blocks.erase(static_cast<std::byte*>(block));
  std::free(block);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = kTotalMemory - used;
  *total = kTotalMemory;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const bool from_host = kind == cudaMemcpyHostToDevice, to_host = kind == cudaMemcpyDeviceToHost;
  Operation copy;
  copy.name = from_host ? "copy to the device" : to_host ? "copy to the host" : "copy within";
  check_stream(stream, copy.name);
  if ((from_host || to_host) && recording) violation(copy.name + " during a recording");
  if (!from_host) copy.memory.push_back({from, bytes});
  if (!to_host) copy.memory.push_back({to, bytes});
  queue(std::move(copy));
  if (to_host) std::memset(to, 0, bytes);
  return cudaSuccess;
}

// Streams and events ------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(new Event);
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  forbid_while_recording("cudaStreamSynchronize");
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
  forbid_while_recording("cudaStreamWaitEvent");
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = reinterpret_cast<cudaEvent_t>(new Event);
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return cudaEventCreate(event);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete made<Event>(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  forbid_while_recording("cudaEventRecord");
  made<Event>(event)->at = device().seconds;
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t) {
  forbid_while_recording("cudaEventQuery");
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  forbid_while_recording("cudaEventSynchronize");
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = static_cast<float>(1e3 * (made<Event>(end)->at - made<Event>(begin)->at));
  return cudaSuccess;
}

// Graphs ------------------------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  check_stream(stream, "a recording");
  forbid_while_recording("another recording");
  recording = true;
  device().graph.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = recording ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  recording = false;
  *graph = reinterpret_cast<cudaGraph_t>(new Graph{device().graph});
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made_of, cudaGraph_t graph, unsigned long long) {
  *made_of = reinterpret_cast<cudaGraphExec_t>(new Graph(*made<Graph>(graph)));
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete made<Graph>(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete made<Graph>(graph);
  return cudaSuccess;
}
// What it was recorded with must still be there.
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  check_stream(stream, "a graph");
  forbid_while_recording("cudaGraphLaunch");
  for (const Operation& node : made<Graph>(graph)->nodes)
    for (const Range& range : node.memory)
      if (!inside_any(range)) violation(node.name + " replayed over memory that is gone");
  return cudaSuccess;
}

}  // extern "C"

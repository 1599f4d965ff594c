// Both halves of kernels/device.h: the host's own, and the way to that of the CUDA backend.
#include "kernels/device.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
#include "kernels/dispatch.h"

namespace hrm::runtime {
namespace {

// Large blocks in huge pages, if the system has them: a puzzle table of gigabytes is touched in
// hundreds of page faults, not in hundreds of thousands.
void* host_block(size_t bytes) {
#ifndef __SANITIZE_ADDRESS__  // the sanitizer would not see an overrun of the rounded size
  constexpr size_t kHugePage = size_t{2} << 20;
  if (bytes >= 4 * kHugePage) {
    void* block = std::aligned_alloc(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage);
    if (block) ::madvise(block, bytes, MADV_HUGEPAGE);
    return block;
  }
#endif
  return std::aligned_alloc(alignment_of(Device::cpu), bytes);
}

// Bytes that the host can still give.
double host_memory_available() {
  double available = 1e18;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string key, rest; meminfo >> key && std::getline(meminfo, rest);)
    if (key == "MemAvailable:") available = std::stod(rest) * 1024;
  double limit = 0, used = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit &&
      std::ifstream("/sys/fs/cgroup/memory.current") >> used)
    available = std::min(available, limit - used);
  // A limit of the shell (ulimit -v) on addresses; those in use come first in statm, in pages.
  rlimit addresses{};
  double pages = 0;
  if (::getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY &&
      std::ifstream("/proc/self/statm") >> pages)
    available = std::min(available, static_cast<double>(addresses.rlim_cur) -
                                        pages * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  return std::max(0.0, available);
}

}  // namespace

void require_backend(Device device, const char* caller) {
  if constexpr (!kBuiltWithCuda)
    if (device != Device::cpu) no_cuda_backend(caller);
}

void require_device(Device device) {
  require_backend(device, "device");
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) cuda::require_device();
}

void choose_device([[maybe_unused]] Device device, [[maybe_unused]] int number) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) cuda::choose_device(number);
}

std::string device_name(Device device) {
  require_backend(device, "device");
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return cuda::device_name();
  return "this machine";
}

void* allocate(Device device, size_t bytes) {
  require_backend(device, "allocate");
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return cuda::allocate(bytes);
  return host_block(bytes);
}

void release(Device device, void* block) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return cuda::release(block);
  std::free(block);
}

void* allocate_pinned(Device device, size_t bytes) {
  require_backend(device, "allocate");
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return cuda::allocate_pinned(bytes);
  return std::malloc(bytes);
}

void release_pinned(Device device, void* block) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return cuda::release_pinned(block);
  std::free(block);
}

double memory_available(Device device) {
  require_backend(device, "device");
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return static_cast<double>(cuda::free_memory());
  return host_memory_available();
}

void copy(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  require_backend(to_device, "copy");
  require_backend(from_device, "copy");
  if constexpr (kBuiltWithCuda) {
    if (to_device == Device::cuda)
      return cuda::copy(to, from, bytes,
                        from_device == Device::cuda ? cuda::Copy::within : cuda::Copy::to_device,
                        {});
    if (from_device == Device::cuda) return cuda::copy(to, from, bytes, cuda::Copy::to_host, {});
  }
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void upload(Device device, void* to, const void* pinned, size_t bytes) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return cuda::upload(to, pinned, bytes);
  std::memcpy(to, pinned, bytes);
}

void wait_for_uploads(Device device) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) cuda::wait_for_uploads();
}

void send(Device device, void* to, const void* pinned, size_t bytes) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return cuda::send(to, pinned, bytes);
  std::memcpy(to, pinned, bytes);
}

void download(Device device, void* pinned, const void* from, size_t bytes) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return cuda::download(pinned, from, bytes);
  std::memcpy(pinned, from, bytes);
}

void synchronize(Device device) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) cuda::synchronize();
}

Event::Event(Device device) {
  require_backend(device, "device");
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) event_ = new cuda::Event();
}

Event::~Event() {
  if constexpr (kBuiltWithCuda) delete event_;
}

void Event::record() {
  if constexpr (kBuiltWithCuda)
    if (event_) event_->record();
}

bool Event::done() const {
  if constexpr (kBuiltWithCuda)
    if (event_) return event_->done();
  return true;
}

void Event::wait() const {
  if constexpr (kBuiltWithCuda)
    if (event_) event_->wait();
}

bool can_record(Device device) { return kBuiltWithCuda && device == Device::cuda; }

Recording::Recording(Device device) : device_(device) {
  if constexpr (kBuiltWithCuda)
    if (can_record(device)) graph_ = new cuda::Graph();
}

Recording::~Recording() {
  if constexpr (kBuiltWithCuda) {
    if (!graph_) return;
    try {
      synchronize(device_);
    } catch (const Error&) {
      // What failed has been reported to whoever waited for it.
    }
    delete graph_;
  }
}

void Recording::record([[maybe_unused]] const std::function<void()>& work) {
  if constexpr (kBuiltWithCuda)
    if (graph_) graph_->record(work);
}

bool Recording::recorded() const {
  if constexpr (kBuiltWithCuda) return graph_ && graph_->recorded();
  return false;
}

void Recording::replay() const {
  if constexpr (kBuiltWithCuda)
    if (graph_) graph_->launch();
}

void set_tf32(Device device, bool on) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) cuda::set_tf32(on);
}

void set_product_tuning(Device device, bool on) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) cuda::set_gemm_tuning(on);
}

std::string product_plans(Device device) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return cuda::gemm_plans();
  return "";
}

bool load_product_plans(Device device, const std::string& text) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) return cuda::load_gemm_plans(text);
  return true;
}

}  // namespace hrm::runtime

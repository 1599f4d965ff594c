// The CUDA device: memory, copies, waiting. The layers above call it through kernels/device.h; what
// is not there is for kernels, tests and measurements. No CUDA header here: runtime.cu implements
// it over the CUDA runtime, emulate/runtime.cpp on the CPU.
//
//     cuda::profile_start();
//     work();
//     for (const auto& [kernel, time] : cuda::profile_stop()) show(kernel, time.seconds);
#pragma once

#include <functional>
#include <map>
#include <string>

#include "kernels/types.h"

namespace hrm::cuda {

// Throws one line if there is no GPU that this build can use (none, driver too old, no kernels for
// its architecture).
void require_device();
// The GPU that this process uses, counted from 0; beyond the last, from the first again. Has no
// effect once one is in use.
void choose_device(int number);
// The stream (cudaStream_t) on which everything runs.
void* stream();
// "NVIDIA H200, 132 SMs, 139.8 GiB, driver 13.0", or "emulation on the CPU".
std::string device_name();
// The same text for processes that use the same GPU.
std::string device_identity();
size_t total_memory();
size_t free_memory();

// Device memory aligned to 256 bytes; null if the device refuses.
void* allocate(size_t bytes);
void release(void* block);
// A block that all kernels of the device share for intermediate results of one operation; it grows
// when more is asked for (never in a step after the first). Uninitialised.
void* workspace(size_t bytes);

// Copies in the order of the stream. Host memory may be reused when copy() returns, and `to_host`
// means that the data are there.
enum class Copy { to_device, to_host, within };
void copy(void* to, const void* from, size_t bytes, Copy kind, const Context& context);
// Waits until everything queued has been done, and throws if any of it failed.
void synchronize();

// Host memory that the device can read and write while the host goes on.
void* allocate_pinned(size_t bytes);
void release_pinned(void* block);
// Copies that return at once; pinned memory belongs to them until they are done. Uploads run beside
// the kernels: what is queued after wait_for_uploads() sees them. send() and downloads run in the
// order of the stream.
void upload(void* to, const void* pinned, size_t bytes);
void wait_for_uploads();
void send(void* to, const void* pinned, size_t bytes);
void download(void* pinned, const void* from, size_t bytes);

// A point in the stream.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record();
  bool done() const;  // everything queued before record() is; true if never recorded
  void wait() const;  // the host waits for that, and throws if something failed

 private:
  void* event_ = nullptr;
};

// Time on the device between two points of the stream.
class Timer {
 public:
  Timer();
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  void start();
  void stop();
  double seconds() const;  // waits for stop()

 private:
  void *begin_ = nullptr, *end_ = nullptr;
};

// Between profile_start and profile_stop every call through HRM_DISPATCH is timed on the device, by
// its name. Not inside a graph. With HRM_TRACE=1 (kernels/trace.h) each is timed by waiting for it.
struct KernelTime {
  double seconds = 0;
  int64_t calls = 0;
};
void profile_start();
std::map<std::string, KernelTime> profile_stop();
class ProfileScope {
 public:
  explicit ProfileScope(const char* name);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  Timer* timer_;  // null when nothing is measured
  const char* name_;
  int64_t started_ns_ = 0;  // for a trace
};

// Launches (and copies within the device) that are recorded once and then replayed together.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  // Records what `work` queues. Nothing of it runs now, so nothing may be allocated in it, nor read
  // by the host. If it throws, the recording is dropped and the device is as before.
  void record(const std::function<void()>& work);
  bool recorded() const { return graph_ != nullptr; }
  void launch() const;

 private:
  void* graph_ = nullptr;
};

}  // namespace hrm::cuda

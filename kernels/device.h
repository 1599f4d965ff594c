// What the layers above ask of the device that a tensor is on: memory, copies, waiting, and work
// that is recorded once and replayed. Every function takes the device and does the right thing on
// each, which is often nothing on the CPU, where all work is done when a call returns. So nobody
// above asks which backends are in the build; asking for memory on a device that this build lacks
// is an Error.
//
//     void* const block = runtime::allocate(device, bytes);
//     runtime::upload(device, block, pinned, bytes);   // beside the kernels that run
//     runtime::wait_for_uploads(device);               // what is queued from here on sees it
//     runtime::synchronize(device);
//     runtime::release(device, block);
#pragma once

#include <functional>
#include <string>

#include "kernels/types.h"

namespace hrm {

namespace cuda {  // kernels/cuda/runtime.h
class Event;
class Graph;
}  // namespace cuda

namespace runtime {

// An Error in the name of `caller` if this build has no such backend.
void require_backend(Device device, const char* caller);
// The same, and an Error if this machine has no such device that the build can use.
void require_device(Device device);
// Which of the machine's GPUs this process computes on, counted from 0; beyond the last, from the
// first again. Has no effect once the device is in use. The CPU has nothing to choose.
void choose_device(Device device, int number);
// "this machine", or the GPU with its size and driver.
std::string device_name(Device device);

// Memory ------------------------------------------------------------------------------------------

// Of every block: a cache line, and the widest vector register; on a GPU what its own allocator
// gives.
constexpr size_t alignment_of(Device device) { return device == Device::cpu ? 64 : 256; }
// An uninitialised block, or null if there is not so much. `bytes` is a multiple of the alignment.
void* allocate(Device device, size_t bytes);
void release(Device device, void* block);
// Host memory that the device copies from and to by itself.
void* allocate_pinned(Device device, size_t bytes);
void release_pinned(Device device, void* block);
// Bytes that the device can still give. On the CPU the least of what the kernel, the container and
// the limits of the shell allow.
double memory_available(Device device);

// Copies and waiting ------------------------------------------------------------------------------

// Between the memory of two devices, or within one. Where one side is the host, the values are
// there and `from` may be reused when this returns.
void copy(void* to, Device to_device, const void* from, Device from_device, size_t bytes);
// Copies between pinned memory and the device that a GPU makes while the host goes on; the pinned
// memory must stay as it is until then. An upload runs beside the kernels, and what is queued after
// wait_for_uploads() sees it. send() and download() keep to the order of the kernels.
void upload(Device device, void* to, const void* pinned, size_t bytes);
void wait_for_uploads(Device device);
void send(Device device, void* to, const void* pinned, size_t bytes);
void download(Device device, void* pinned, const void* from, size_t bytes);
// Waits until everything queued has been done, and throws if any of it failed.
void synchronize(Device device);

// A point in the order of what the device has been given to do.
class Event {
 public:
  explicit Event(Device device);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record();
  bool done() const;  // whether all that was queued before record() is done
  void wait() const;  // the host waits for that, and throws if any of it failed

 private:
  cuda::Event* event_ = nullptr;  // null on the CPU
};

// Recording and replaying -------------------------------------------------------------------------

// Whether work on this device can be recorded at all: not on the CPU.
bool can_record(Device device);

// Launches of kernels (and copies within the device) that are recorded once and then replayed
// together, with the addresses that they were recorded with.
class Recording {
 public:
  explicit Recording(Device device);
  ~Recording();  // waits for a replay that is under way
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  // Records what `work` queues. Nothing of it runs now, so nothing may be allocated in it, nor read
  // by the host. If it throws, the recording is dropped and the device is as before. Where
  // can_record() is false nothing is recorded, and the caller has to do the work itself.
  void record(const std::function<void()>& work);
  bool recorded() const;
  void replay() const;  // only if recorded()

 private:
  Device device_;
  cuda::Graph* graph_ = nullptr;  // null on the CPU
};

// Products ----------------------------------------------------------------------------------------

// f32 products with operands rounded to 10 bits of mantissa, on the tensor cores of a GPU. Off by
// default; the CPU has nothing to switch.
void set_tf32(Device device, bool on);
// Tries several algorithms for each large product of a GPU when its shape first occurs, and keeps
// the fastest. Off by default: two runs may then differ in the last digits. A resumed run does not.
void set_product_tuning(Device device, bool on);
// The algorithms that products have used so far, as text. A resumed run that loads it repeats bit
// for bit; false if the text is of another GPU or library. The CPU has one algorithm: empty, true.
std::string product_plans(Device device);
bool load_product_plans(Device device, const std::string& text);

}  // namespace runtime
}  // namespace hrm

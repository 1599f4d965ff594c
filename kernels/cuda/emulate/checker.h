// Between the parts of the emulation: scheduler, runtime, checker of memory accesses. The checker
// is at work where kernels are compiled with -fsanitize=thread (make CUDA=emulate SAN=check): the
// calls that the compiler puts before each load and store come to checker.cpp instead of the thread
// sanitizer.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace hrm::emulate {

// The scheduler's side.
bool in_kernel();
int current_thread();  // in its block
struct StackRange {
  const std::byte* begin;
  size_t bytes;
};
StackRange current_stack();
// Ends the launch with this message; does not return.
[[noreturn]] void fail(const std::string& what);

// Recording of launches and copies for a graph.
void begin_recording();
bool recording();
bool record_call(std::function<void()> call);  // false if nothing is being recorded
std::vector<std::function<void()>> end_recording();

namespace checker {

#ifdef HRM_EMULATE_CHECK
void begin_launch(const void* closure, size_t bytes);
void end_launch();
void begin_block(const void* dynamic_shared, size_t bytes);
void add_shared(const void* array, size_t bytes);  // a shared array, uninitialised
void block_synchronised();
void warp_synchronised();  // by the running thread's warp; called once by each lane
void access(const void* at, size_t bytes, bool write, const void* program_counter);
void atomic(const void* at, size_t bytes, const void* program_counter);  // reads and writes
// An asynchronous copy to shared memory may write from now on; nobody may read until it did.
void copy_begins(const void* to, size_t bytes, const void* program_counter);
// Device memory.
void allocated(const void* block, size_t bytes);  // uninitialised
void released(const void* block);
void written_by_host(const void* at, size_t bytes);  // initialised
#else
inline void begin_launch(const void*, size_t) {}
inline void end_launch() {}
inline void begin_block(const void*, size_t) {}
inline void add_shared(const void*, size_t) {}
inline void block_synchronised() {}
inline void warp_synchronised() {}
inline void access(const void*, size_t, bool, const void*) {}
inline void atomic(const void*, size_t, const void*) {}
inline void copy_begins(const void*, size_t, const void*) {}
inline void allocated(const void*, size_t) {}
inline void released(const void*) {}
inline void written_by_host(const void*, size_t) {}
#endif

}  // namespace checker
}  // namespace hrm::emulate

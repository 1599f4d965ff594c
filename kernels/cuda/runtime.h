// The CUDA device as the rest of the library sees it: memory, copies, waiting. No CUDA header here;
// runtime.cu implements it over the CUDA runtime, emulate/runtime.cpp on the CPU.
#pragma once

#include <string>

#include "kernels/types.h"

namespace hrm::cuda {

// Throws one line if there is no GPU that this build can use (none, driver too old, no kernels for
// its architecture).
void require_device();
// The stream (cudaStream_t) on which everything runs.
void* stream();
// "NVIDIA H200, 132 SMs, 139.8 GiB, driver 13.0", or "emulation on the CPU".
std::string device_name();
size_t total_memory();
size_t free_memory();

// Device memory aligned to 256 bytes; null if the device refuses.
void* allocate(size_t bytes);
void release(void* block);
// A block that all kernels of the device share for intermediate results of one operation; it grows
// when more is asked for (never in a step after the first). Uninitialised.
void* workspace(size_t bytes);

// Copies in the order of the stream. Host memory may be reused when copy() returns; `to_host` waits
// until the data are there.
enum class Copy { to_device, to_host, within };
void copy(void* to, const void* from, size_t bytes, Copy kind, const Context& context);
// Waits until everything queued has been done, and throws if any of it failed.
void synchronize();

}  // namespace hrm::cuda

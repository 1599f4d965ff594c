// The device of the emulation: its memory is the host's, each block an allocation of its own, so
// that the checkers know where it ends.
#include "kernels/cuda/runtime.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/cuda/emulate/checker.h"
#include "kernels/types.h"

namespace hrm::cuda {

void* stream() { return nullptr; }
void require_device() {}
std::string device_name() { return "emulation on the CPU"; }
size_t total_memory() { return size_t{16} << 30; }
size_t free_memory() { return total_memory(); }

void* allocate(size_t bytes) {
  if (bytes > total_memory()) return nullptr;
  void* block = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!block) return nullptr;
  std::memset(block, 0xff, bytes);  // uninitialised memory shows as NaN
  emulate::checker::allocated(block, bytes);
  return block;
}
void release(void* block) {
  emulate::checker::released(block);
  std::free(block);
}

void* workspace(size_t bytes) {
  static void* block = nullptr;
  static size_t size = 0;
  if (bytes > size) {
    if (block) release(block);
    block = allocate(bytes);
    CHECK(block, "[workspace] out of memory: asked for ", bytes, " bytes");
    size = bytes;
  }
  return block;
}

void copy(void* to, const void* from, size_t bytes, Copy kind, const Context&) {
  if (bytes) std::memcpy(to, from, bytes);
  if (kind != Copy::to_host) emulate::checker::written_by_host(to, bytes);
}
void synchronize() {}

}  // namespace hrm::cuda

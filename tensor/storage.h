// Memory of tensors: reference-counted bytes from a caching allocator.
//
//     const Storage block(1024, Device::cpu);
//     allocator_stats().in_use;   // 1024, if it is the only one
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "kernels/dispatch.h"

namespace hrm {

struct AllocatorStats {
  size_t in_use = 0;         // bytes held by live storages
  size_t peak = 0;           // largest in_use since reset_peak
  size_t cached = 0;         // bytes in the free lists
  uint64_t allocations = 0;  // blocks asked from the system (not served from the cache)
  uint64_t requests = 0;     // blocks asked from the allocator
};
// Per device. A freed block goes to a free list and serves the next request of its size or up to a
// quarter less; when the system refuses, the cache is emptied and the request repeated once, then
// an Error names the request and what is held.
AllocatorStats allocator_stats(Device device = Device::cpu);
void reset_peak(Device device = Device::cpu);
void empty_cache(Device device = Device::cpu);

// Free lists of its own, which empty_cache leaves alone: for work that is recorded with its
// addresses (a CUDA graph), which goes on using blocks that it has given back. Each recording has
// one.
class PrivateCache {
 public:
  explicit PrivateCache(Device device);
  // Gives its blocks back to the system: nothing that was recorded with them may run again.
  ~PrivateCache();
  PrivateCache(const PrivateCache&) = delete;
  PrivateCache& operator=(const PrivateCache&) = delete;

  // While it lives, all blocks come from and go back to the cache. One at a time.
  class Use {
   public:
    explicit Use(const PrivateCache& cache);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
  };

 private:
  Device device_;
  int lane_;
};

// Bytes with a version: in-place writers bump it, and a saved tensor whose version has changed is
// an error in backward rather than a wrong gradient.
class Storage {
 public:
  Storage() = default;
  Storage(size_t bytes, Device device);
  // Memory owned by somebody else (a mapped file); `owner` keeps it alive. Read-only by convention.
  Storage(void* data, size_t bytes, Device device, std::shared_ptr<void> owner);

  void* data() const { return block_ ? block_->data : nullptr; }
  size_t bytes() const { return block_ ? block_->bytes : 0; }
  Device device() const { return block_ ? block_->device : Device::cpu; }
  uint64_t version() const { return block_->version.load(std::memory_order_relaxed); }
  void bump_version() const { block_->version.fetch_add(1, std::memory_order_relaxed); }
  bool is_unique() const { return block_.use_count() == 1; }
  bool same_as(const Storage& other) const { return block_ == other.block_; }

 private:
  struct Block {
    void* data = nullptr;
    size_t bytes = 0;
    Device device = Device::cpu;
    std::atomic<uint64_t> version{0};
    std::shared_ptr<void> owner;  // set: memory of somebody else
    ~Block();
  };
  std::shared_ptr<Block> block_;
};

}  // namespace hrm

#include "tensor/storage.h"

#include <omp.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#include "kernels/device.h"

// Under the address sanitizer a block in the cache is out of bounds until it is handed out again.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)0)
#endif

namespace hrm {
namespace {

// The checked emulation wants every block to be an allocation of its own (recordings excepted).
#ifdef HRM_EMULATE_CHECK
constexpr bool kCaching = false;
#else
constexpr bool kCaching = true;
#endif

std::string mebibytes(size_t bytes) {
  std::ostringstream text;
  text.precision(1);
  text << std::fixed << static_cast<double>(bytes) / (1 << 20) << " MiB";
  return text.str();
}

// The free lists of the private cache in use; 0 if there is none.
int private_lane = 0;

class Allocator {
 public:
  explicit Allocator(Device device) : device_(device) {}

  // A block of at least `bytes`; its true size replaces them.
  void* allocate(size_t& bytes) {
    const std::lock_guard lock(mutex_);
    [[maybe_unused]] const size_t wanted = bytes;
    ++stats_.requests;
    FreeLists& lists = free_[lane()];
    // A block a little larger will do: what one phase of a step has freed serves the next.
    const auto list = lists.lower_bound(bytes);
    void* block = nullptr;
    if (list != lists.end() && list->first <= bytes + bytes / 3) {
      bytes = list->first;
      block = list->second.back();
      list->second.pop_back();
      if (list->second.empty()) lists.erase(list);
      stats_.cached -= bytes;
      ASAN_UNPOISON_MEMORY_REGION(block, wanted);  // the rest stays out of bounds
    } else {
      block = from_system(bytes);
      if (!block) {
        clear();
        block = from_system(bytes);
      }
      HRM_CHECK(block, "[allocate] out of memory: asked for ", mebibytes(bytes), " on ",
                name_of(device_), " while ", mebibytes(stats_.in_use),
                " are in use. HINT: use a smaller batch");
    }
    stats_.in_use += bytes;
    stats_.peak = std::max(stats_.peak, stats_.in_use);
    return block;
  }
  void release(void* block, size_t bytes) {
    const std::lock_guard lock(mutex_);
    stats_.in_use -= bytes;
    if (!kCaching && private_lane == 0 && device_ == Device::cuda) return to_system(block);
    stats_.cached += bytes;
    free_[lane()][bytes].push_back(block);
    // A recorded step goes on using the blocks that it gave back.
    if (private_lane == 0) ASAN_POISON_MEMORY_REGION(block, bytes);
  }
  void empty_cache() {
    const std::lock_guard lock(mutex_);
    clear();
  }
  void empty_private_cache(int lane) {
    const std::lock_guard lock(mutex_);
    clear(lane);
  }
  AllocatorStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak = stats_.in_use;
  }

 private:
  void* from_system(size_t bytes) {
    void* block = runtime::allocate(device_, bytes);
    if (block) ++stats_.allocations;
    return block;
  }
  void to_system(void* block) { runtime::release(device_, block); }
  // Frees the lists of one private cache, or of all threads.
  void clear(int lane = 0) {
    for (auto lists = free_.begin(); lists != free_.end();) {
      const bool wanted = lane < 0 ? lists->first == lane : lists->first >= 0;
      if (!wanted) {
        ++lists;
        continue;
      }
      for (auto& [bytes, list] : lists->second)
        for (void* block : list) {
          ASAN_UNPOISON_MEMORY_REGION(block, bytes);
          to_system(block);
          stats_.cached -= bytes;
        }
      lists = free_.erase(lists);
    }
  }
  // Threads that work side by side keep their blocks apart: what one of them finds in the cache
  // then does not depend on how far the others are. Private caches have negative numbers.
  static int lane() {
    if (private_lane != 0) return private_lane;
    return omp_in_parallel() ? 1 + omp_get_thread_num() : 0;
  }
  const Device device_;
  std::mutex mutex_;
  using FreeLists = std::map<size_t, std::vector<void*>>;  // by size
  std::unordered_map<int, FreeLists> free_;
  AllocatorStats stats_;
};

Allocator& allocator_of(Device device) {
  // Never destroyed: tensors in static storage may be released after main.
  static auto* cpu = new Allocator(Device::cpu);
  if (device == Device::cpu) return *cpu;
  runtime::require_backend(device, "allocate");
  static auto* cuda = new Allocator(Device::cuda);
  return *cuda;
}

}  // namespace

AllocatorStats allocator_stats(Device device) { return allocator_of(device).stats(); }
void reset_peak(Device device) { allocator_of(device).reset_peak(); }
void empty_cache(Device device) { allocator_of(device).empty_cache(); }

PrivateCache::PrivateCache(Device device) : device_(device) {
  static std::atomic<int> last_lane{0};
  lane_ = --last_lane;
}
PrivateCache::~PrivateCache() { allocator_of(device_).empty_private_cache(lane_); }
PrivateCache::Use::Use(const PrivateCache& cache) { private_lane = cache.lane_; }
PrivateCache::Use::~Use() { private_lane = 0; }

Storage::Storage(size_t bytes, Device device) : block_(std::make_shared<Block>()) {
  const size_t alignment = runtime::alignment_of(device);
  size_t rounded = std::max(alignment, (bytes + alignment - 1) / alignment * alignment);
  block_->data = allocator_of(device).allocate(rounded);
  block_->bytes = rounded;
  block_->device = device;
}

Storage::Storage(void* data, size_t bytes, Device device, std::shared_ptr<void> owner)
    : block_(std::make_shared<Block>()) {
  block_->data = data;
  block_->bytes = bytes;
  block_->device = device;
  block_->owner = std::move(owner);
}

Storage::Block::~Block() {
  if (!owner && data) allocator_of(device).release(data, bytes);
}

}  // namespace hrm

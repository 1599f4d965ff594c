// The device of the emulation: its memory is the host's, each block an allocation of its own, so
// that the checkers know where it ends.
#include "kernels/cuda/runtime.h"

#include <malloc.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/cuda/emulate/checker.h"
#include "kernels/types.h"

namespace hrm {

namespace {
struct Beside {
  int64_t begun = 0;
  std::map<int64_t, std::function<bool()>> under_way;  // by number, from 1
};
thread_local Beside beside;

// The blocks of memory, by where they begin.
struct Blocks {
  std::mutex mutex;
  std::map<const std::byte*, size_t> bytes;
};
Blocks& blocks() {
  static auto& all = *new Blocks;  // never destroyed: memory is given back until the end
  return all;
}
}  // namespace

namespace emulate {

void begin_beside(std::function<bool()> advance) {
  beside.under_way.emplace(++beside.begun, std::move(advance));
}
int64_t begun_beside() { return beside.begun; }
bool done_beside(int64_t first) {
  std::erase_if(beside.under_way, [](const auto& work) { return work.second(); });
  return beside.under_way.empty() || beside.under_way.begin()->first > first;
}
void drop_beside() { beside.under_way.clear(); }
void check_nothing_beside() {
  HRM_CHECK(done_beside(begun_beside()),
            "[emulate] messages are under way, which the host has not waited for");
}

bool on_device(const void* begin, size_t bytes) {
  const auto* first = static_cast<const std::byte*>(begin);
  const std::lock_guard lock(blocks().mutex);
  auto block = blocks().bytes.upper_bound(first);
  if (block == blocks().bytes.begin()) return false;
  --block;
  return first + bytes <= block->first + block->second;
}

}  // namespace emulate

namespace cuda {

void* stream() { return nullptr; }
void require_device() {}
void choose_device(int) {}
std::string device_name() { return "emulation on the CPU"; }
std::string device_identity() {
  thread_local const char own = 0;  // in tests of several ranks a thread is as a process
  return std::to_string(reinterpret_cast<uintptr_t>(&own));
}
size_t total_memory() { return size_t{16} << 30; }
size_t free_memory() { return total_memory(); }

void* allocate(size_t bytes) {
  HRM_CHECK(!emulate::recording(), "[emulate] memory was allocated while a graph is recorded");
  if (bytes > total_memory()) return nullptr;
  void* block = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!block) return nullptr;
  std::memset(block, 0xff, bytes);  // uninitialised memory shows as NaN
  emulate::checker::allocated(block, bytes);
  const std::lock_guard lock(blocks().mutex);
  blocks().bytes[static_cast<const std::byte*>(block)] = bytes;
  return block;
}
void release(void* block) {
  {
    const std::lock_guard lock(blocks().mutex);
    blocks().bytes.erase(static_cast<const std::byte*>(block));
  }
  if (block) std::memset(block, 0xff, malloc_usable_size(block));  // so that a later use shows
  emulate::checker::released(block);
  std::free(block);
}

void* workspace(size_t bytes) {
  // Old ones stay: recorded graphs know their addresses. Never destroyed, so that none counts as
  // leaked at the end.
  static auto& blocks = *new std::vector<void*>;
  static size_t size = 0;
  if (bytes > size) {
    void* larger = allocate(bytes);
    HRM_CHECK(larger, "[workspace] out of memory: asked for ", bytes >> 20,
              " MiB on cuda. HINT: use a smaller batch");
    blocks.push_back(larger);
    size = bytes;
  }
  return blocks.empty() ? nullptr : blocks.back();
}

namespace {

// Asynchronous copies happen as late as they may, so that a missing wait shows. Of this thread: in
// some tests each is as a process of its own.
struct Pending {
  void* to;
  const void* from;
  std::vector<std::byte> data;  // of downloads: the value when it was queued
};
thread_local std::vector<Pending> pending_uploads, pending_downloads;

void finish_downloads() {
  for (const Pending& p : pending_downloads) std::memcpy(p.to, p.data.data(), p.data.size());
  pending_downloads.clear();
}

}  // namespace

void copy(void* to, const void* from, size_t bytes, Copy kind, const Context&) {
  emulate::check_nothing_beside();
  const auto now = [=] {
    if (bytes) std::memmove(to, from, bytes);
    if (kind != Copy::to_host) emulate::checker::written_by_host(to, bytes);
  };
  if (!emulate::record_call(now)) now();
  HRM_CHECK(kind == Copy::within || !emulate::recording(),
            "[emulate] a copy from or to the host while a graph is recorded");
}
void synchronize() {
  emulate::check_nothing_beside();
  finish_downloads();
}

void* allocate_pinned(size_t bytes) { return std::malloc(bytes); }
void release_pinned(void* block) {
  synchronize();
  std::free(block);
}
void upload(void* to, const void* pinned, size_t bytes) {
  pending_uploads.push_back({to, pinned, std::vector<std::byte>(bytes)});
}
void wait_for_uploads() {
  for (const Pending& p : pending_uploads) copy(p.to, p.from, p.data.size(), Copy::to_device, {});
  pending_uploads.clear();
}
void send(void* to, const void* pinned, size_t bytes) {
  copy(to, pinned, bytes, Copy::to_device, {});
}
void download(void* pinned, const void* from, size_t bytes) {
  const auto* begin = static_cast<const std::byte*>(from);
  pending_downloads.push_back({pinned, from, {begin, begin + bytes}});
}

Event::Event() = default;
Event::~Event() = default;
// A number: what has begun beside the kernels by now.
void Event::record() { event_ = reinterpret_cast<void*>(emulate::begun_beside()); }
bool Event::done() const {
  // Whoever asks again and again gets through in the end.
  constexpr int kPatience = 3;
  thread_local int asked = 0;
  if (!pending_downloads.empty() && ++asked == kPatience) finish_downloads();
  if (!pending_downloads.empty()) return false;
  asked = 0;
  return emulate::done_beside(static_cast<int64_t>(reinterpret_cast<uintptr_t>(event_)));
}
void Event::wait() const { finish_downloads(); }

namespace {
double* clock_value() { return new double(0); }
double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
}  // namespace
Timer::Timer() : begin_(clock_value()), end_(clock_value()) {}
Timer::~Timer() {
  delete static_cast<double*>(begin_);
  delete static_cast<double*>(end_);
}
void Timer::start() { *static_cast<double*>(begin_) = now(); }
void Timer::stop() { *static_cast<double*>(end_) = now(); }
double Timer::seconds() const {
  return *static_cast<double*>(end_) - *static_cast<double*>(begin_);
}

void Graph::record(const std::function<void()>& work) {
  emulate::begin_recording();
  try {
    work();
  } catch (...) {
    emulate::end_recording();
    throw;
  }
  graph_ = new std::vector<std::function<void()>>(emulate::end_recording());
}
void Graph::launch() const {
  for (const auto& call : *static_cast<std::vector<std::function<void()>>*>(graph_)) call();
}
Graph::~Graph() { delete static_cast<std::vector<std::function<void()>>*>(graph_); }

}  // namespace cuda
}  // namespace hrm

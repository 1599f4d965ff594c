// The checker of memory accesses. `g++ -fsanitize=thread` puts a call before each load and store of
// a kernel, -fsanitize=undefined one behind each broken rule; both come here, to no sanitizer's
// library. For every four bytes of shared and of device memory (for every byte, where smaller
// pieces are accessed) there is a cell with the last write and the reads since. Two accesses race
// unless one thread made both or a barrier lies between; so a race is found in whatever order the
// threads happen to run.
#include "kernels/cuda/emulate/checker.h"

#ifdef HRM_EMULATE_CHECK
#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <vector>

// Where the program begins; what lies in the section of threadIdx and its like. Named by the
// linker.
extern "C" const char __executable_start[];
extern "C" const std::byte __start_hrm_thread[], __stop_hrm_thread[];

namespace hrm::emulate::checker {
namespace {

// Time is an epoch, one for all launches: each launch, block and block barrier begins a new one.
// (After 2^32, hours of barriers, it would start again.) Within an epoch a warp has its own count
// of
// __syncwarp.
constexpr uint32_t kHost = 1;  // epoch of what the host wrote; 0: never written
struct Mark {
  uint32_t epoch;
  uint32_t thread : 10, warp_epoch : 22;
  uint32_t site : 28;      // program counter, from where the program begins
  uint32_t atomic : 1;     // by an atomic operation
  uint32_t under_way : 1;  // by an asynchronous copy nobody has waited for
  uint32_t split : 1;      // of the write of a word: each byte has a cell of its own
};
// Two reads tell enough of all that happened since the write: see keep().
struct Cell {
  Mark write, read, also_read;
};
struct Memory {
  const std::byte* begin = nullptr;
  size_t bytes = 0;
  bool shared = false;
  Cell* words = nullptr;
  Cell* parts = nullptr;  // of single bytes; made when first needed
};
enum class Kind { read, write, atomic, copy };

// The hooks are called by host code too, even before constructors have run.
constinit bool running = false;
constinit uint32_t epoch = kHost, launch_begin = 0, block_begin = 0;
constinit uint32_t warp_epochs[1024] = {};
constinit Mark me = {};  // what the running thread leaves behind
constinit const std::byte* closure_begin = nullptr;
constinit size_t closure_bytes = 0;
constinit const std::byte* shared_begin = nullptr;
constexpr size_t kSharedBytes = 256 << 10;
constinit StackRange stack = {};      // of the thread that was here last
constinit Memory* recent[1024] = {};  // device memory by bits of its address

std::vector<Memory>& shared_arrays() {
  static auto* arrays = new std::vector<Memory>;
  return *arrays;
}
std::map<const std::byte*, Memory>& device_memory() {
  static auto* memory = new std::map<const std::byte*, Memory>;
  return *memory;
}

Cell* new_cells(size_t n) {
  void* cells = std::calloc(n + 1, sizeof(Cell));  // pages that nobody touches cost nothing
  if (!cells) throw std::bad_alloc();
  return static_cast<Cell*>(cells);
}
uint32_t site_of(const void* pc) {
  return static_cast<uint32_t>(static_cast<const char*>(pc) - __executable_start) & 0xfffffff;
}
bool inside(const void* at, const void* begin, size_t bytes) {
  return static_cast<size_t>(static_cast<const std::byte*>(at) -
                             static_cast<const std::byte*>(begin)) < bytes;
}

// The device memory that begins at or before `at`.
Memory* device_memory_before(const std::byte* at) {
  auto& memory = device_memory();
  const auto next = memory.upper_bound(at);
  return next == memory.begin() ? nullptr : &std::prev(next)->second;
}
Memory* find(const std::byte* at) {
  if (inside(at, shared_begin, kSharedBytes)) {
    for (Memory& array : shared_arrays())
      if (inside(at, array.begin, array.bytes)) return &array;
    return nullptr;
  }
  Memory*& slot = recent[reinterpret_cast<uintptr_t>(at) >> 8 & 1023];
  if (slot && inside(at, slot->begin, slot->bytes)) return slot;
  Memory* found = device_memory_before(at);
  if (!found || !inside(at, found->begin, found->bytes)) return nullptr;
  return slot = found;
}

// Reports
// ------------------------------------------------------------------------------------------

// "rms_norm.cu:28" of a program counter. Of functions inlined into each other the innermost of a
// .cu file counts: the kernel, not gpu.h.
const std::string& place(uint32_t site) {
  static auto* known = new std::map<uint32_t, std::string>;
  std::string& text = (*known)[site];
  if (!text.empty()) return text;
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(__executable_start);
  uintptr_t address = site - 1;  // in the call, not behind it
  if (header->e_type == ET_EXEC) address += reinterpret_cast<uintptr_t>(header);
  char line[4096];
  std::snprintf(line, sizeof line, "0x%zx", static_cast<size_t>(address));
  text = line;
  const ssize_t length = readlink("/proc/self/exe", line, sizeof line - 1);
  const std::string program(line, static_cast<size_t>(std::max<ssize_t>(length, 0)));
  FILE* out = popen(("addr2line -i -e '" + program + "' " + text + " 2>/dev/null").c_str(), "r");
  if (!out) return text;
  bool done = false, first = true;
  while (std::fgets(line, sizeof line, out)) {
    std::string frame = line;
    frame = frame.substr(frame.find_last_of('/') + 1);
    frame = frame.substr(0, frame.find_first_of(" \n"));
    if (done || frame.find('?') != std::string::npos) continue;
    done = frame.find(".cu:") != std::string::npos;
    if (first || done) text = frame;
    first = false;
  }
  pclose(out);
  return text;
}

std::string thread_at(const Mark& mark) {
  return "thread " + std::to_string(mark.thread) +
         (mark.epoch && mark.epoch < block_begin ? " of another block at " : " at ") +
         place(mark.site);
}
std::string byte_of(const Memory& memory, size_t offset) {
  return (memory.shared ? "shared memory, byte " : "global memory, byte ") +
         std::to_string(offset) + " of " + std::to_string(memory.bytes);
}
// The string outlives the fiber, which is not unwound.
[[noreturn]] void report(const std::string& what) {
  static auto* message = new std::string;
  *message = what;
  fail(*message);
}
[[noreturn]] void report_race(const char* kinds, const Memory& memory, size_t offset,
                              const Mark& before) {
  running = false;
  static auto* text = new std::string;
  *text = std::string("race ") + kinds + ": " + byte_of(memory, offset) + ": " + thread_at(before) +
          " and " + thread_at(me);
  report(*text);
}
[[noreturn]] void report_uninitialised(const Memory& memory, size_t offset, const Mark& write) {
  running = false;
  static auto* text = new std::string;
  *text = "uninitialised read: " + byte_of(memory, offset) + ": " + thread_at(me);
  if (write.under_way) *text += ", while the copy is under way of " + thread_at(write);
  report(*text);
}
[[noreturn]] void report_outside(const std::byte* at, size_t bytes, Kind kind) {
  running = false;
  static auto* text = new std::string;
  *text = "out of bounds: " + std::string(kind == Kind::read ? "read" : "write") + " of " +
          std::to_string(bytes) + " bytes";
  const Memory* before = nullptr;
  for (const Memory& array : shared_arrays())
    if (array.begin <= at && (!before || array.begin > before->begin)) before = &array;
  if (!before || !inside(at, shared_begin, kSharedBytes)) before = device_memory_before(at);
  if (at == nullptr || !before || at >= before->begin + before->bytes + 256)
    *text += " where no device memory is";
  else
    *text += " at " + byte_of(*before, static_cast<size_t>(at - before->begin));
  *text += ": " + thread_at(me);
  report(*text);
}

// Accesses
// -----------------------------------------------------------------------------------------

// An access `before` of device memory in this launch, or of shared memory in this block, and
// nothing between it and the running thread.
bool concurrent(const Mark& before, bool shared) {
  if (before.epoch < (shared ? block_begin : launch_begin)) return false;
  if (before.epoch < block_begin) return true;  // another block
  if (before.epoch < epoch || before.thread == me.thread) return false;
  return before.thread / 32 != me.thread / 32 || before.warp_epoch == me.warp_epoch;
}

// Remembers a read. Of those in one epoch, two are kept, by different threads and if possible by
// different warps: any later write that races with some read then races with one of these. A read
// by an earlier block races with whatever this block and later ones write.
void keep(Cell& c, bool shared) {
  if (!shared && c.read.epoch >= launch_begin && c.read.epoch < block_begin) return;
  if (c.read.epoch < epoch) {
    c.read = me;
    c.also_read.epoch = 0;
  } else if (c.read.thread == me.thread) {
    c.read = me;
  } else if (c.read.thread / 32 == me.thread / 32 && c.read.warp_epoch != me.warp_epoch) {
    c.read = me;  // the older one lies before a __syncwarp
  } else if (c.also_read.epoch < epoch || c.also_read.thread / 32 == c.read.thread / 32) {
    c.also_read = me;
  }
}

void check(Memory& m, Cell& c, size_t offset, Kind kind) {
  const bool split = c.write.split;
  if (kind == Kind::read || kind == Kind::atomic) {
    if (c.read.epoch == epoch && c.read.thread == me.thread && c.read.warp_epoch == me.warp_epoch &&
        kind == Kind::read)
      return;  // and nobody has written since
    if (c.write.epoch < (m.shared ? block_begin : kHost) || c.write.under_way)
      report_uninitialised(m, offset, c.write);
  }
  const bool both_atomic = kind == Kind::atomic && c.write.atomic;
  if (!both_atomic && concurrent(c.write, m.shared))
    report_race(kind == Kind::read ? "write/read" : "write/write", m, offset, c.write);
  if (kind == Kind::read) return keep(c, m.shared);
  if (c.read.epoch) {
    if (concurrent(c.read, m.shared)) report_race("read/write", m, offset, c.read);
    if (concurrent(c.also_read, m.shared)) report_race("read/write", m, offset, c.also_read);
    c.read.epoch = c.also_read.epoch = 0;  // before this write, so before what follows it
  }
  c.write = me;
  c.write.atomic = kind == Kind::atomic;
  c.write.under_way = kind == Kind::copy;
  c.write.split = split;
}

// The cells of a word's bytes, which from now on differ.
Cell* split(Memory& m, size_t word) {
  if (!m.parts) m.parts = new_cells(m.bytes + 4);
  Cell* parts = m.parts + word * 4;
  if (!m.words[word].write.split) {
    std::fill_n(parts, 4, m.words[word]);
    m.words[word].write.split = 1;
  }
  return parts;
}

[[gnu::noinline]] void touch(const void* address, size_t bytes, Kind kind, const void* pc) {
  const int thread = current_thread();
  if (thread < 0) return;
  const auto* at = static_cast<const std::byte*>(address);
  stack = current_stack();
  if (inside(at, stack.begin, stack.bytes)) return;
  if (inside(at, closure_begin, closure_bytes) && kind == Kind::read) return;
  me.epoch = epoch;
  me.thread = static_cast<unsigned>(thread) & 1023;
  me.warp_epoch = warp_epochs[thread] & ((1u << 22) - 1);
  me.site = site_of(pc);
  Memory* m = find(at);
  if (!m) report_outside(at, bytes, kind);
  size_t offset = static_cast<size_t>(at - m->begin);
  if (bytes > m->bytes - offset) report_outside(at, bytes, kind);
  while (bytes) {
    const size_t word = offset / 4, count = std::min(bytes, 4 - offset % 4);
    Cell& c = m->words[word];
    if (count == 4 && !c.write.split) {
      check(*m, c, offset, kind);
    } else {
      Cell* parts = split(*m, word);
      for (size_t i = 0; i < count; ++i) check(*m, parts[offset % 4 + i], offset + i, kind);
      if (count == 4 && kind != Kind::read) {  // the bytes are one again
        c = *parts;
        c.write.split = 0;
      }
    }
    offset += count;
    bytes -= count;
  }
}

// The quick way out: threadIdx and its like; local arrays, where the stack on which we are is still
// the last one.
bool own(const void* at) {
  return inside(at, __start_hrm_thread,
                static_cast<size_t>(__stop_hrm_thread - __start_hrm_thread)) ||
         (inside(at, stack.begin, stack.bytes) &&
          inside(__builtin_frame_address(0), stack.begin, stack.bytes));
}

// An access that the compiler takes to be aligned.
void touch_aligned(const void* at, size_t bytes, Kind kind, const void* pc) {
  if (reinterpret_cast<uintptr_t>(at) % bytes == 0) return touch(at, bytes, kind, pc);
  if (current_thread() < 0) return;
  me.thread = static_cast<unsigned>(current_thread()) & 1023;
  me.epoch = epoch;
  me.site = site_of(pc);
  running = false;
  static auto* text = new std::string;
  *text = "misaligned access of " + std::to_string(bytes) + " bytes: " + thread_at(me);
  report(*text);
}

}  // namespace

// What the scheduler and the device's memory tell
// --------------------------------------------------

void begin_launch(const void* closure, size_t bytes) {
  closure_begin = static_cast<const std::byte*>(closure);
  closure_bytes = bytes;
  launch_begin = block_begin = ++epoch;
  running = true;
}
void end_launch() { running = false; }

void begin_block(const void* dynamic_shared, size_t bytes) {
  block_begin = ++epoch;
  std::fill(std::begin(warp_epochs), std::end(warp_epochs), 0);
  shared_begin = static_cast<const std::byte*>(dynamic_shared);
  shared_arrays().clear();
  if (bytes) add_shared(dynamic_shared, bytes);
}
// Cells of earlier blocks stay; their epochs tell.
void add_shared(const void* array, size_t bytes) {
  static Cell* const words = new_cells(kSharedBytes / 4);
  static Cell* const parts = new_cells(kSharedBytes);
  const auto* begin = static_cast<const std::byte*>(array);
  const auto at = static_cast<size_t>(begin - shared_begin);
  shared_arrays().push_back({begin, bytes, true, words + at / 4, parts + at});
}
void block_synchronised() { ++epoch; }
void warp_synchronised() { ++warp_epochs[current_thread()]; }

void access(const void* at, size_t bytes, bool write, const void* program_counter) {
  if (running) touch(at, bytes, write ? Kind::write : Kind::read, program_counter);
}
void atomic(const void* at, size_t bytes, const void* program_counter) {
  if (running) touch_aligned(at, bytes, Kind::atomic, program_counter);
}
void copy_begins(const void* to, size_t bytes, const void* program_counter) {
  if (running) touch(to, bytes, Kind::copy, program_counter);
}

void allocated(const void* block, size_t bytes) {
  released(block);
  const auto* begin = static_cast<const std::byte*>(block);
  device_memory()[begin] = {begin, bytes, false, new_cells(bytes / 4 + 1), nullptr};
}
void released(const void* block) {
  auto& memory = device_memory();
  const auto found = memory.find(static_cast<const std::byte*>(block));
  if (found == memory.end()) return;
  std::free(found->second.words);
  std::free(found->second.parts);
  memory.erase(found);
  std::fill(std::begin(recent), std::end(recent), nullptr);
}
void written_by_host(const void* to, size_t bytes) {
  if (bytes == 0) return;
  const auto* at = static_cast<const std::byte*>(to);
  Memory* m = find(at);
  if (!m || m->shared) return;
  size_t offset = static_cast<size_t>(at - m->begin);
  bytes = std::min(bytes, m->bytes - offset);
  Cell written = {};
  written.write.epoch = kHost;
  while (bytes) {
    const size_t count = std::min(bytes, 4 - offset % 4);
    if (count == 4)
      m->words[offset / 4] = written;
    else
      std::fill_n(split(*m, offset / 4) + offset % 4, count, written);
    offset += count;
    bytes -= count;
  }
}

}  // namespace hrm::emulate::checker

// What the compiler calls
// --------------------------------------------------------------------------

using namespace hrm::emulate;
using checker::Kind;
#define HOOK(name, function, bytes, kind)                                    \
  extern "C" void __tsan_##name(const void* at) {                            \
    if (checker::running && !checker::own(at))                               \
      checker::function(at, bytes, Kind::kind, __builtin_return_address(0)); \
  }
#define HOOKS(bytes)                              \
  HOOK(read##bytes, touch_aligned, bytes, read)   \
  HOOK(write##bytes, touch_aligned, bytes, write) \
  HOOK(unaligned_read##bytes, touch, bytes, read) \
  HOOK(unaligned_write##bytes, touch, bytes, write)
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
extern "C" {
void __tsan_read_range(const void* at, size_t bytes) {
  if (checker::running && !checker::own(at))
    checker::touch(at, bytes, Kind::read, __builtin_return_address(0));
}
void __tsan_write_range(const void* at, size_t bytes) {
  if (checker::running && !checker::own(at))
    checker::touch(at, bytes, Kind::write, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(const void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(const void*, const void*) {}
void __tsan_vptr_read(const void*) {}
}

// Guards of function-local statics: host code.
extern "C" uint8_t __tsan_atomic8_load(const uint8_t* at, int) {
  return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

// -fsanitize=undefined -fno-sanitize-recover: what each call is given begins with the place.
namespace {
struct Place {
  const char* file;
  uint32_t line, column;
};
[[noreturn]] void undefined(const Place* at, const char* what, const void* pc) {
  checker::running = false;
  static auto* text = new std::string;
  *text = at->file;
  *text = std::string(what) + " at " + text->substr(text->find_last_of('/') + 1) + ":" +
          std::to_string(at->line);
  const std::string& kernel = checker::place(checker::site_of(pc));
  if (text->find(kernel) == std::string::npos) *text += ", for " + kernel;
  fail(*text);
}
}  // namespace
#define UNDEFINED(handler, what)                                           \
  extern "C" [[noreturn]] void __ubsan_handle_##handler(const Place* at) { \
    undefined(at, what, __builtin_return_address(0));                      \
  }
extern "C" [[noreturn]] void __ubsan_handle_type_mismatch_v1_abort(const Place* at,
                                                                   uintptr_t address) {
  undefined(at, address ? "misaligned access" : "null pointer", __builtin_return_address(0));
}
UNDEFINED(out_of_bounds_abort, "index out of the bounds of an array")
UNDEFINED(shift_out_of_bounds_abort, "shift too far or of a negative number")
UNDEFINED(add_overflow_abort, "overflow of +")
UNDEFINED(sub_overflow_abort, "overflow of -")
UNDEFINED(mul_overflow_abort, "overflow of *")
UNDEFINED(negate_overflow_abort, "overflow of -")
UNDEFINED(divrem_overflow_abort, "division by zero or overflow")
UNDEFINED(pointer_overflow_abort, "overflow of a pointer")
UNDEFINED(load_invalid_value_abort, "a bool or enum has no such value")
UNDEFINED(float_cast_overflow_abort, "overflow of a conversion")
UNDEFINED(nonnull_arg_abort, "null where none may be")
UNDEFINED(nonnull_return_v1_abort, "null where none may be")
UNDEFINED(invalid_builtin_abort, "argument of a builtin out of its range")
UNDEFINED(builtin_unreachable, "unreachable code")
UNDEFINED(missing_return, "no return statement")
#endif  // HRM_EMULATE_CHECK

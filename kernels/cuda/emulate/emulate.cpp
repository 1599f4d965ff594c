// Blocks and threads as fibers: the scheduler, shared memory and the operations of a warp.
#include "kernels/cuda/emulate/emulate.h"

#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernels/cuda/emulate/checker.h"
#include "kernels/types.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

[[gnu::section("hrm_thread")]] uint3 threadIdx{}, blockIdx{};
[[gnu::section("hrm_thread")]] dim3 blockDim{}, gridDim{};

int atomicOr(int* address, int value) {
  hrm::emulate::checker::atomic(address, sizeof *address, __builtin_return_address(0));
  const int old = *address;
  *address |= value;
  return old;
}

namespace hrm::emulate {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kStack = 256 << 10;
#else
constexpr size_t kStack = 64 << 10;
#endif
constexpr int kMaxThreads = 1024;
constexpr size_t kMaxShared = 227 << 10;  // of a block, on sm_90

// Contexts ---------------------------------------------------------------------------------------

#ifdef __x86_64__
// Saves the callee-saved registers and the stack of the caller and goes on where `to` was saved.
extern "C" void hrm_switch(void** from, void* to);
asm(R"(
.text
.type hrm_switch,@function
hrm_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
struct Context {
  void* stack_pointer = nullptr;
  void start(std::byte* stack, void (*entry)()) {
    // `ret` takes the entry; the entry finds its stack as if it had been called.
    auto* top = reinterpret_cast<void**>(stack + kStack) - 2;
    top[0] = reinterpret_cast<void*>(entry);
    top[1] = nullptr;
    stack_pointer = top - 6;
  }
  static void change(Context& from, Context& to) {
    hrm_switch(&from.stack_pointer, to.stack_pointer);
  }
};
#else
struct Context {
  ucontext_t context;
  void start(std::byte* stack, void (*entry)()) {
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = kStack;
    context.uc_link = nullptr;
    makecontext(&context, entry, 0);
  }
  static void change(Context& from, Context& to) { swapcontext(&from.context, &to.context); }
};
#endif

// State of a launch ------------------------------------------------------------------------------

enum class Wait : uint8_t { ready, block, warp, exited };

struct Copy {
  void* to;
  const void* from;
  bool valid;
};
struct Thread {
  Context context;
  std::byte* stack = nullptr;
  Wait wait = Wait::ready;
  Site site;
  bool odd = false;                          // which of the warp's two exchange buffers is next
  std::vector<std::vector<Copy>> copies{1};  // groups of asynchronous copies; the last is open
};
// What the lanes of each warp deposit. In the section that the checker lets kernels read.
struct alignas(16) Exchange {
  std::byte bytes[2][32 * kExchange];
};
[[gnu::section("hrm_thread")]] constinit Exchange exchanges[kMaxThreads / 32] = {};

struct Machine {
  std::vector<Thread> threads = std::vector<Thread>(kMaxThreads);
  std::vector<int> turn, warp_turn;  // order of the lanes of a warp; of the warps of a block
  std::byte* shared_memory = nullptr;
  struct Array {
    const void* key;
    size_t at, bytes;
  };
  std::vector<Array> arrays;  // shared arrays of the block
  size_t shared_used = 0;
  Launch launch{};
  Context host;
  int count = 0;     // threads of a block
  int current = -1;  // running thread, -1: the host
  std::string failure;
  std::string name, next_name;
  std::set<std::string> launched;
  bool recording = false;
  std::vector<std::function<void()>> calls;  // recorded
  int64_t fails_at = -1, recorded_calls = 0;
  Order order = Order::forward;
  uint64_t random = 1;
#ifdef __SANITIZE_ADDRESS__
  const void* host_stack = nullptr;
  size_t host_stack_bytes = 0;
#endif
};
// Never destroyed: kernels may run until the end.
Machine& machine() {
  static auto* m = new Machine;
  return *m;
}

std::string where(const Site& site) {
  const std::string file = site.file_name();
  return file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(site.line()) + ":" +
         std::to_string(site.column());
}

// "rms_norm_kernel<float>" of the name of gpu::launch<kernel, ...>.
std::string short_name(const std::string& pretty) {
  size_t begin = pretty.find("kernel = ");
  if (begin == std::string::npos) return pretty;
  begin += 9;
  int depth = 0;
  size_t end = begin;
  for (; end < pretty.size(); ++end) {
    const char c = pretty[end];
    if (c == '<' || c == '(') ++depth;
    if (c == '>' || c == ')') --depth;
    if (depth < 0 || (depth == 0 && (c == ';' || c == ']'))) break;
  }
  std::string name = pretty.substr(begin, end - begin);
  // Without the namespaces.
  const size_t colons = name.rfind("::", name.find('<'));
  if (colons != std::string::npos) name.erase(0, colons + 2);
  for (size_t at; (at = name.find("hrm::")) != std::string::npos;) name.erase(at, 5);
  return name;
}

// Going between host and fibers ------------------------------------------------------------------

[[noreturn]] void end_fiber();
void to_host() {
  Machine& m = machine();
  Thread& self = m.threads[m.current];
#ifdef __SANITIZE_ADDRESS__
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(self.wait == Wait::exited ? nullptr : &fake, m.host_stack,
                                 m.host_stack_bytes);
#endif
  m.current = -1;
  Context::change(self.context, m.host);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake, &m.host_stack, &m.host_stack_bytes);
  if (!m.failure.empty()) end_fiber();
#endif
}

// The fiber is not unwound: nothing on its stack may own memory.
[[noreturn]] void end_fiber() {
  Machine& m = machine();
  m.threads[m.current].wait = Wait::exited;
  to_host();
  __builtin_unreachable();
}
[[noreturn]] void fail_at(const char* what, const Site* site = nullptr) {
  checker::end_launch();  // the string functions may be copies that call it
  Machine& m = machine();
  m.failure = what;
  if (site) m.failure += " at " + where(*site);
  m.failure += " (thread " + std::to_string(m.current) + ")";
  end_fiber();
}

void thread_main() {
  Machine& m = machine();
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &m.host_stack, &m.host_stack_bytes);
  if (!m.failure.empty()) end_fiber();
#endif
  m.launch.body(m.launch.closure);
  Thread& self = m.threads[m.current];
  if (self.copies.size() > 1 || !self.copies[0].empty())
    fail_at("a thread ended with asynchronous copies under way");
  end_fiber();
}

void run_thread(int index) {
  Machine& m = machine();
  m.current = index;
  threadIdx = {static_cast<unsigned>(index) % blockDim.x,
               static_cast<unsigned>(index) / blockDim.x % blockDim.y,
               static_cast<unsigned>(index) / blockDim.x / blockDim.y};
#ifdef __SANITIZE_ADDRESS__
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, m.threads[index].stack, kStack);
#endif
  Context::change(m.host, m.threads[index].context);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void wait_at(Wait what, const Site& site) {
  Machine& m = machine();
  if (m.current < 0) hrm::detail::fail("[emulate] a device function was called by the host");
  Thread& self = m.threads[m.current];
  self.wait = what;
  self.site = site;
  to_host();
}

// Scheduling -------------------------------------------------------------------------------------

// 0..n-1 in the order set.
void shuffle(std::vector<int>& order, int n) {
  Machine& m = machine();
  order.resize(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) order[i] = m.order == Order::reverse ? n - 1 - i : i;
  if (m.order != Order::random) return;
  for (int i = n - 1; i > 0; --i) {
    m.random = m.random * 6364136223846793005u + 1442695040888963407u;
    std::swap(order[i], order[static_cast<size_t>(m.random >> 33) % static_cast<size_t>(i + 1)]);
  }
}

bool same_place(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::strcmp(a.file_name(), b.file_name()) == 0;
}

// True if threads [begin, end) all wait for `what` at one place.
bool all_at(Wait what, int begin, int end) {
  const auto& threads = machine().threads;
  for (int i = begin; i < end; ++i)
    if (threads[i].wait != what || !same_place(threads[i].site, threads[begin].site)) return false;
  return true;
}
void release(int begin, int end) {
  for (int i = begin; i < end; ++i) machine().threads[i].wait = Wait::ready;
}

// Runs a warp until its lanes wait for the block or have ended.
void run_warp(int w) {
  Machine& m = machine();
  const int begin = w * 32, end = begin + 32;
  do {
    for (const int l : m.turn) {
      if (m.threads[begin + l].wait != Wait::ready) continue;
      run_thread(begin + l);
      if (!m.failure.empty()) return;
    }
    if (!all_at(Wait::warp, begin, end)) return;
    release(begin, end);
  } while (true);
}

// What every thread of the block is doing, when none can go on.
std::string deadlock() {
  const Machine& m = machine();
  std::string text = "deadlock:";
  for (int w = 0; w < m.count / 32; ++w) {
    std::vector<std::pair<std::string, unsigned>> groups;
    for (int l = 0; l < 32; ++l) {
      const Thread& t = m.threads[w * 32 + l];
      const std::string what = t.wait == Wait::exited  ? "ended"
                               : t.wait == Wait::block ? "at __syncthreads " + where(t.site)
                                                       : "at a warp operation " + where(t.site);
      auto at = std::find_if(groups.begin(), groups.end(),
                             [&](const auto& g) { return g.first == what; });
      if (at == groups.end()) at = groups.insert(at, {what, 0});
      at->second |= 1u << l;
    }
    if (groups.size() == 1 && w > 0 && groups[0].first == "ended") continue;
    for (const auto& [what, lanes] : groups) {
      char mask[16];
      std::snprintf(mask, sizeof mask, "%08x", lanes);
      text += " warp " + std::to_string(w) + " lanes " + mask + " " + what + ";";
    }
    if (text.size() > 400) break;
  }
  text.pop_back();
  return text;
}

void prepare_threads() {
  Machine& m = machine();
  for (int i = 0; i < m.count; ++i) {
    Thread& t = m.threads[i];
    if (!t.stack) {
      // A page below the stack that nobody may touch.
      void* memory = mmap(nullptr, kStack + 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory == MAP_FAILED) hrm::detail::fail("[emulate] no memory for the stacks of a block");
      mprotect(memory, 4096, PROT_NONE);
      t.stack = static_cast<std::byte*>(memory) + 4096;
    }
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(t.stack, kStack);
#endif
    t.context.start(t.stack, thread_main);
    t.wait = Wait::ready;
    t.odd = false;  // after an error the lanes of a warp may differ
    t.copies.assign(1, {});
  }
}

void run_block() {
  Machine& m = machine();
  std::memset(m.shared_memory, 0xff, m.launch.shared_bytes);
  m.arrays.clear();
  m.shared_used = (m.launch.shared_bytes + 64 + 15) / 16 * 16;  // a gap here too
  prepare_threads();
  checker::begin_block(m.shared_memory, m.launch.shared_bytes);
  shuffle(m.turn, 32);
  shuffle(m.warp_turn, m.count / 32);
  while (true) {
    for (const int w : m.warp_turn) {
      run_warp(w);
      if (!m.failure.empty()) return;
    }
    bool ended = true;
    for (int i = 0; i < m.count; ++i) ended &= m.threads[i].wait == Wait::exited;
    if (ended) return;
    if (!all_at(Wait::block, 0, m.count)) {
      m.failure = deadlock();
      return;
    }
    release(0, m.count);
    checker::block_synchronised();
  }
}

void run_now(const Launch& l, const std::string& name) {
  Machine& m = machine();
  const unsigned threads = l.block.x * l.block.y * l.block.z;
  const auto refuse = [&](const char* why) {
    hrm::detail::fail("[emulate] ", name, ": ", why, "; grid ", l.grid.x, " x ", l.grid.y, " x ",
                      l.grid.z, ", block of ", threads, ", ", l.shared_bytes, " shared bytes");
  };
  if (threads == 0 || threads > kMaxThreads) refuse("a block has 1 to 1024 threads");
  if (threads % 32) refuse("the block size must be a multiple of 32");
  if (!l.grid.x || !l.grid.y || !l.grid.z) refuse("the grid is empty");
  if (l.grid.y > 65535 || l.grid.z > 65535 || l.grid.x > 0x7fffffff)
    refuse("the grid is too large");
  if (l.shared_bytes > kMaxShared) refuse("too much shared memory");
  if (m.current >= 0) refuse("launched by a kernel");
  if (!m.shared_memory)
    m.shared_memory = static_cast<std::byte*>(std::aligned_alloc(1024, 256 << 10));
  m.launch = l;
  m.count = static_cast<int>(threads);
  m.name = name;
  m.failure.clear();
  blockDim = l.block;
  gridDim = l.grid;
  checker::begin_launch(l.closure, l.closure_bytes);
  const int64_t blocks = int64_t{l.grid.x} * l.grid.y * l.grid.z;
  const int64_t step = m.order == Order::random ? 7919 : 1;
  for (int64_t i = 0; i < blocks; ++i) {
    // Random: a stride that is coprime to most grids visits every block once; others go forward.
    int64_t b = m.order == Order::reverse ? blocks - 1 - i : i;
    if (step > 1 && blocks % step != 0) b = i * step % blocks;
    blockIdx = {static_cast<unsigned>(b % l.grid.x), static_cast<unsigned>(b / l.grid.x % l.grid.y),
                static_cast<unsigned>(b / l.grid.x / l.grid.y)};
    run_block();
    if (!m.failure.empty()) break;
  }
  checker::end_launch();
#ifdef __SANITIZE_ADDRESS__
  // Abandoned fibers come back once more, to hand back what AddressSanitizer keeps of their stacks.
  if (!m.failure.empty())
    for (int i = 0; i < m.count; ++i)
      if (m.threads[i].wait != Wait::exited) run_thread(i);
#endif
  if (!m.failure.empty())
    hrm::detail::fail("[emulate] ", name, ", block (", blockIdx.x, ", ", blockIdx.y, ", ",
                      blockIdx.z, "): ", m.failure);
}

}  // namespace

// For the checker --------------------------------------------------------------------------------

bool in_kernel() { return machine().current >= 0; }
int current_thread() { return machine().current; }
StackRange current_stack() {
  const Machine& m = machine();
  return {m.threads[m.current].stack, kStack};
}
void fail(const std::string& what) {
  Machine& m = machine();
  if (m.current < 0) hrm::detail::fail("[emulate] ", what);
  fail_at(what.c_str());
}

// What gpu.h calls -------------------------------------------------------------------------------

void set_order(Order order) { machine().order = order; }
void fail_recording_at(int64_t call) { machine().fails_at = call; }
int64_t recorded_calls() { return machine().recorded_calls; }

std::set<std::string> take_launched_kernels() { return std::exchange(machine().launched, {}); }

void name_next_launch(const char* name) { machine().next_name = name; }

void launch(const Launch& l, void*) {
  check_nothing_beside();
  Machine& m = machine();
  const std::string name = short_name(m.next_name);
  m.launched.insert(name);
  const auto* bytes = static_cast<const std::byte*>(l.closure);
  if (m.recording) {
    // The closure goes with the recording, aligned as the launch's was.
    auto copy = std::make_shared<std::vector<std::max_align_t>>(
        l.closure_bytes / sizeof(std::max_align_t) + 1);
    std::memcpy(copy->data(), bytes, l.closure_bytes);
    record_call([kept = Launch(l), name, copy]() mutable {
      kept.closure = copy->data();
      run_now(kept, name);
    });
    return;
  }
  run_now(l, name);
}

void begin_recording() {
  machine().recording = true;
  machine().calls.clear();
}
bool recording() { return machine().recording; }
bool record_call(std::function<void()> call) {
  Machine& m = machine();
  if (!m.recording) return false;
  if (m.fails_at == static_cast<int64_t>(m.calls.size())) {
    m.fails_at = -1;
    hrm::detail::fail("[emulate] the recording fails here, as a test has asked");
  }
  m.calls.push_back(std::move(call));
  return true;
}
std::vector<std::function<void()>> end_recording() {
  machine().recording = false;
  machine().recorded_calls = static_cast<int64_t>(machine().calls.size());
  return std::move(machine().calls);
}

void sync_block(const Site& site) { wait_at(Wait::block, site); }

void sync_warp(unsigned mask, const Site& site) {
  if (mask != 0xffffffffu) fail_at("__syncwarp without the full mask", &site);
  wait_at(Wait::warp, site);
  checker::warp_synchronised();
}

const std::byte* exchange(const void* mine, size_t bytes, unsigned mask, const Site& site) {
  Machine& m = machine();
  if (mask != 0xffffffffu) fail_at("a warp operation without the full mask", &site);
  const int index = m.current;
  Thread& self = m.threads[index];
  // Two buffers in turn: a lane that is an operation ahead does not overwrite what others have yet
  // to read, and none can be two ahead.
  std::byte* buffer = exchanges[index / 32].bytes[self.odd];
  self.odd = !self.odd;
  std::memcpy(buffer + static_cast<size_t>(index % 32) * bytes, mine, bytes);
  wait_at(Wait::warp, site);
  return buffer;
}

void* shared(const void* key, size_t bytes) {
  Machine& m = machine();
  for (const auto& a : m.arrays)
    if (a.key == key) return m.shared_memory + a.at;
  const size_t at = m.shared_used;
  m.shared_used = (at + bytes + 64 + 15) / 16 * 16;  // a gap, so that an overrun shows
  if (m.shared_used > (256 << 10)) fail_at("too much shared memory");
  std::memset(m.shared_memory + at, 0xff, bytes);
  m.arrays.push_back({key, at, bytes});
  checker::add_shared(m.shared_memory + at, bytes);
  return m.shared_memory + at;
}

std::byte* dynamic_shared() { return machine().shared_memory; }

void cp_async(void* to, const void* from, bool valid) {
  Machine& m = machine();
  if (reinterpret_cast<uintptr_t>(to) % 16 || (valid && reinterpret_cast<uintptr_t>(from) % 16))
    fail_at("cp.async of a misaligned address");
  checker::copy_begins(to, 16, __builtin_return_address(0));
  m.threads[m.current].copies.back().push_back({to, from, valid});
}
void cp_async_commit() {
  Machine& m = machine();
  m.threads[m.current].copies.emplace_back();
}
void cp_async_wait(int pending) {
  // The copies happen as late as they may.
  Machine& m = machine();
  auto& groups = m.threads[m.current].copies;
  while (static_cast<int>(groups.size()) - 1 > pending) {
    for (const Copy& c : groups.front()) {
      if (c.valid) checker::access(c.from, 16, false, __builtin_return_address(0));
      checker::access(c.to, 16, true, __builtin_return_address(0));
      if (c.valid)
        std::memcpy(c.to, c.from, 16);
      else
        std::memset(c.to, 0, 16);
    }
    groups.erase(groups.begin());
  }
}

void ldmatrix_x4(unsigned (&r)[4], const void* row, bool transposed, const Site& site) {
  if (reinterpret_cast<uintptr_t>(row) % 16) fail_at("ldmatrix of a misaligned row", &site);
  checker::access(row, 16, false, __builtin_return_address(0));
  uint16_t mine[8];
  std::memcpy(mine, row, 16);
  const int lane = machine().current % 32;
  const auto* rows =
      reinterpret_cast<const uint16_t(*)[8]>(exchange(mine, sizeof mine, 0xffffffffu, site));
  for (int i = 0; i < 4; ++i) {
    const int a = lane / 4, b = lane % 4 * 2;
    const unsigned low = transposed ? rows[8 * i + b][a] : rows[8 * i + a][b];
    const unsigned high = transposed ? rows[8 * i + b + 1][a] : rows[8 * i + a][b + 1];
    r[i] = low | high << 16;
  }
}

void mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, const Site& site) {
  struct Fragments {
    unsigned a[4], b[2];
  };
  const Fragments mine = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
  const int lane = machine().current % 32;
  const auto* all =
      reinterpret_cast<const Fragments*>(exchange(&mine, sizeof mine, 0xffffffffu, site));
  const auto half = [](unsigned word, int i) {
    return __uint_as_float(i ? word & 0xffff0000u : word << 16);
  };
  const int group = lane / 4, pair = lane % 4 * 2;
  for (int i = 0; i < 4; ++i) {
    const int upper = i / 2, column = pair + i % 2;  // D(group + 8 upper, column)
    float sum = 0;
    for (int k = 0; k < 16; ++k) {
      const int t = k % 8 / 2, late = k / 8;
      sum += half(all[group * 4 + t].a[upper + 2 * late], k % 2) *
             half(all[column * 4 + t].b[late], k % 2);
    }
    d[i] += sum;
  }
}

}  // namespace hrm::emulate

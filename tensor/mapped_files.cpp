#include "tensor/mapped_files.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>

namespace hrm {
namespace {

// The handler of a signal may neither allocate nor lock, so the table has a fixed size, and a
// mapping is complete before its `begin` is set.
struct Mapping {
  std::atomic<uintptr_t> begin = 0;  // 0: free
  uintptr_t end = 0;
  std::array<char, 400> name = {};
};
std::array<Mapping, 1024> mappings;
std::mutex changing;
int status_of_truncation = 1;

void say(const char* text) {
  const ssize_t ignored = ::write(STDERR_FILENO, text, std::strlen(text));
  static_cast<void>(ignored);
}

void on_bus_error(int, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const Mapping& m : mappings) {
    const uintptr_t begin = m.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= m.end) continue;
    say("hrm: [read] ");
    say(m.name.data());
    say(" was cut off while it was in use. HINT: a file must stay as it is while it is read; "
        "bring it back, then start again\n");
    ::_exit(status_of_truncation);
  }
  std::signal(SIGBUS, SIG_DFL);  // of another cause: let the same instruction fail again
}

}  // namespace

void note_mapped(const void* begin, size_t size, const std::string& name) {
  const std::lock_guard lock(changing);
  const auto free = std::ranges::find_if(mappings, [](const Mapping& m) { return m.begin == 0; });
  if (free == mappings.end()) return;
  free->end = reinterpret_cast<uintptr_t>(begin) + size;
  const size_t length = std::min(name.size(), free->name.size() - 1);
  for (size_t i = 0; i < length; ++i) {
    const bool control = static_cast<unsigned char>(name[i]) < ' ' || name[i] == '\x7f';
    free->name[i] = control ? '?' : name[i];
  }
  free->name[length] = 0;
  free->begin.store(reinterpret_cast<uintptr_t>(begin), std::memory_order_release);
}

void forget_mapped(const void* begin) {
  const std::lock_guard lock(changing);
  for (Mapping& m : mappings)
    if (m.begin == reinterpret_cast<uintptr_t>(begin)) m.begin = 0;
}

void explain_truncated_files(int exit_status) {
  status_of_truncation = exit_status;
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace hrm

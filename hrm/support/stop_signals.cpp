#include "hrm/support/stop_signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>

namespace hrm {
namespace {

std::atomic<int> signals{0}, first{0};
std::atomic<bool> second_ends{false};
std::atomic<const char*> farewell{nullptr};
static_assert(std::atomic<int>::is_always_lock_free &&
              std::atomic<const char*>::is_always_lock_free);  // a handler must not wait

void note(int signal) {
  if (const char* text = farewell) {
    const bool said = ::write(STDERR_FILENO, text, std::strlen(text)) >= 0;
    ::_exit(said ? 128 + signal : 1);
  }
  if (signals.fetch_add(1) == 0) first = signal;
  if (!second_ends) return;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

StopSignals::StopSignals(Second second) {
  signals = 0;
  first = 0;
  farewell = nullptr;
  second_ends = second == Second::ends_the_process;
  interrupt_ = std::signal(SIGINT, note);
  terminate_ = std::signal(SIGTERM, note);
}

StopSignals::~StopSignals() {
  std::signal(SIGINT, interrupt_);
  std::signal(SIGTERM, terminate_);
}

int StopSignals::count() { return signals; }

void StopSignals::leave_with(const char* text) { farewell = text; }

int StopSignals::exit_status() { return signals == 0 ? 0 : 128 + first; }

}  // namespace hrm

#include "hrm/support/stop_signals.h"

#include <atomic>
#include <csignal>

namespace hrm {
namespace {

std::atomic<int> signals{0}, first{0};
static_assert(std::atomic<int>::is_always_lock_free);  // a handler must not wait

void note(int signal) {
  if (signals.fetch_add(1) == 0) first = signal;
}

}  // namespace

StopSignals::StopSignals() {
  signals = 0;
  first = 0;
  interrupt_ = std::signal(SIGINT, note);
  terminate_ = std::signal(SIGTERM, note);
}

StopSignals::~StopSignals() {
  std::signal(SIGINT, interrupt_);
  std::signal(SIGTERM, terminate_);
}

int StopSignals::count() { return signals; }

int StopSignals::exit_status() { return signals == 0 ? 0 : 128 + first; }

}  // namespace hrm

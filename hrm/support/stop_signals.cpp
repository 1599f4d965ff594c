#include "hrm/support/stop_signals.h"

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>

namespace hrm {
namespace {

constexpr int64_t kSameRequest = 1000;  // milliseconds

std::atomic<int> requests{0}, first{0};
std::atomic<int64_t> counted_at{0};
std::atomic<bool> second_ends{false};
std::atomic<const char*> farewell{nullptr};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free &&
              std::atomic<const char*>::is_always_lock_free);  // a handler must not wait

int64_t milliseconds_now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{1000} * t.tv_sec + t.tv_nsec / 1000000;
}

[[noreturn]] void leave(int signal, const char* text) {
  const bool said = ::write(STDERR_FILENO, text, std::strlen(text)) >= 0;
  ::_exit(said ? 128 + signal : 1);
}

void note(int signal) {
  if (const char* text = farewell) leave(signal, text);
  const int64_t now = milliseconds_now();
  if (first != 0 && now - counted_at < kSameRequest) return;
  counted_at = now;
  int none = 0;
  first.compare_exchange_strong(none, signal);
  if (++requests == 1 || !second_ends) return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

StopSignals::StopSignals(Second second) {
  requests = 0;
  first = 0;
  farewell = nullptr;
  second_ends = second == Second::ends_the_process;
  interrupt_ = std::signal(SIGINT, note);
  terminate_ = std::signal(SIGTERM, note);
}

StopSignals::~StopSignals() {
  std::signal(SIGINT, interrupt_);
  std::signal(SIGTERM, terminate_);
  requests = 0;
  first = 0;
}

int StopSignals::count() { return requests; }

void StopSignals::leave_with(const char* text) {
  farewell = text;
  if (text && first != 0) leave(first, text);  // it came just before
}

int StopSignals::exit_status() { return first == 0 ? 0 : 128 + first; }

}  // namespace hrm

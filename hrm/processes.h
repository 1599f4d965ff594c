// Independent pieces of work side by side, each in a process of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

namespace hrm {

struct SideBySide {
  int jobs = 1;     // processes at a time
  int threads = 1;  // OpenMP threads of each
  // In the child. What it throws is the message of failed().
  std::function<void(int64_t i)> work;
  // In the parent, as children end: work(i) has returned, or has not.
  std::function<void(int64_t i)> done;
  std::function<void(int64_t i, const std::string& why)> failed;
  std::function<void()> tick;               // in the parent, a few times a second
  const std::atomic<bool>* stop = nullptr;  // set: no more children are started
};
// Work 0, 1, ... count - 1, started in this order. Once one has failed no more are started, and the
// others finish. The caller must not have used OpenMP: a copy of its process could not. Children
// get SIGTERM when the parent dies.
void run_side_by_side(int64_t count, const SideBySide& what);

}  // namespace hrm

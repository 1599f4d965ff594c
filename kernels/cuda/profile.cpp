// Where the time of a GPU goes, call by call.
#include <chrono>
#include <deque>
#include <memory>

#include "kernels/cuda/runtime.h"
#include "kernels/trace.h"

namespace hrm::cuda {
namespace {

struct Measured {
  const char* name;
  Timer timer;
};
struct Profile {
  bool on = false;
  std::deque<Measured> calls;
};
Profile& profile() {
  static Profile the_profile;
  return the_profile;
}

int64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace

void profile_start() {
  profile().calls.clear();
  profile().on = true;
}

std::map<std::string, KernelTime> profile_stop() {
  profile().on = false;
  std::map<std::string, KernelTime> times;
  for (const Measured& call : profile().calls) {
    KernelTime& t = times[call.name];
    t.seconds += call.timer.seconds();
    ++t.calls;
  }
  profile().calls.clear();
  return times;
}

ProfileScope::ProfileScope(const char* name) : timer_(nullptr), name_(name) {
  if (trace::on()) {
    synchronize();
    started_ns_ = now_ns();
  }
  if (!profile().on) return;
  auto& calls = profile().calls;
  calls.emplace_back();
  calls.back().name = name;
  timer_ = &calls.back().timer;
  timer_->start();
}
ProfileScope::~ProfileScope() {
  if (timer_) timer_->stop();
  if (!trace::on()) return;
  synchronize();
  trace::add_kernel(name_, now_ns() - started_ns_);
}

}  // namespace hrm::cuda

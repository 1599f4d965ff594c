#include "kernels/trace.h"

#include <cstdlib>
#include <cstring>

namespace hrm::trace {
namespace {

thread_local Kernels since_last_line;

}  // namespace

bool on() {
  static const bool value = [] {
    const char* text = std::getenv("HRM_TRACE");
    return text && *text && std::strcmp(text, "0") != 0;
  }();
  return value;
}

void add_kernel(const char* name, int64_t ns) {
  since_last_line.seconds.emplace_back(name, 1e-9 * static_cast<double>(ns));
}

void add_flops(double count) { since_last_line.flops += count; }

Kernels take() { return std::exchange(since_last_line, {}); }

}  // namespace hrm::trace

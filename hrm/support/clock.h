// The clock by which the program times its work.
//
//     const double begin = seconds_now();
//     work();
//     show(seconds_now() - begin);
#pragma once

#include <chrono>

namespace hrm {

// Seconds of a clock that is never set back. Where it starts is not said: only differences count.
inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace hrm

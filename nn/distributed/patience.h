// Waiting for other processes without keeping the processor from them.
//
//     for (Patience patience; !arrived(); patience.wait()) {
//     }
#pragma once

#include <sched.h>

#include <chrono>
#include <thread>

namespace hrm {
inline namespace nn {

// Waits a little between two looks at whether something has come: first for the processor's next
// chance, which is quickest, and then in naps, so that whoever is waited for can have the core. A
// long message only moves on while somebody looks, so that naps stay short.
class Patience {
 public:
  void wait() {
    constexpr int kYields = 200;
    if (++looks_ <= kYields || looks_ % 8 != 0)
      ::sched_yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }

 private:
  int looks_ = 0;
};

}  // namespace nn
}  // namespace hrm

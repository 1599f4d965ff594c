// Learning-rate schedule: linear warm-up, then cosine.
//
//     const Schedule schedule = {100, 1000, 0.1};
//     schedule(1e-3, 50);   // 5e-4, half of the warm-up
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace hrm {
inline namespace nn {

struct Schedule {
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;
  double min_ratio = 1;  // the cosine ends at base * min_ratio; 1 keeps the rate constant

  // Rate of step number `step` (the first is 1): base * step / warmup while step < warmup, then
  // base * (min + max(0, (1 - min) / 2 (1 + cos(pi progress)))) as the official compute_lr.
  double operator()(double base, int64_t step) const {
    if (step < warmup_steps)
      return base * static_cast<double>(step) /
             static_cast<double>(std::max<int64_t>(1, warmup_steps));
    const double progress = static_cast<double>(step - warmup_steps) /
                            static_cast<double>(std::max<int64_t>(1, total_steps - warmup_steps));
    return base * (min_ratio + std::max(0.0, (1 - min_ratio) * 0.5 *
                                                 (1 + std::cos(std::numbers::pi * progress))));
  }
};

}  // namespace nn
}  // namespace hrm

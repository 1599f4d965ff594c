// A training that diverges: the first step with a value that is not finite.
//
//     try {
//       learner.run(1, window);
//     } catch (const NotFinite& failure) {
//       show(advice(failure, config, "runs/mine"));
//     }
#pragma once

#include <string>

#include "hrm/config.h"
#include "tensor/io.h"

namespace hrm {

// A value that is not finite in a step; no update was made from that step on. `what`: "the loss" or
// "the gradient of NAME".
class NotFinite : public Error {
 public:
  NotFinite(const std::string& what, int64_t step)
      : Error("[train] " + what + " was not finite in step " + std::to_string(step)), step_(step) {}
  int64_t step() const { return step_; }

 private:
  int64_t step_;
};

// The whole message to the user: what was not finite, and what may help in the run folder `run`,
// which is a lower rate, from the newest checkpoint if that is far enough back, or from the start.
std::string advice(const NotFinite& failure, const Config& config, const Path& run);

}  // namespace hrm

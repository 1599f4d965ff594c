// Whether operations record. On by default; NoGradGuard turns recording off for its scope (this
// thread). The mode has nothing to do with a module's train flag.
//
//     const NoGradGuard no_grad;   // until it goes out of scope
//     const Tensor y = exp(x);     // not recorded
#pragma once

namespace hrm {

bool grad_enabled();
void set_grad_enabled(bool enabled);

class GradModeGuard {
 public:
  explicit GradModeGuard(bool enabled) : previous_(grad_enabled()) { set_grad_enabled(enabled); }
  ~GradModeGuard() { set_grad_enabled(previous_); }
  GradModeGuard(const GradModeGuard&) = delete;
  GradModeGuard& operator=(const GradModeGuard&) = delete;

 private:
  bool previous_;
};
struct NoGradGuard : GradModeGuard {
  NoGradGuard() : GradModeGuard(false) {}
};

// Fused kernels on (default) or the composed references of every fused op: the same numbers up to
// rounding, for tests and for reading what an op does.
bool fusion_enabled();
void set_fusion(bool enabled);

}  // namespace hrm

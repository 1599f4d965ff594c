#include "autograd/grad_mode.h"

namespace hrm {
namespace {
thread_local bool grad_mode = true;
bool fusion = true;
}  // namespace

bool grad_enabled() { return grad_mode; }
void set_grad_enabled(bool enabled) { grad_mode = enabled; }
bool fusion_enabled() { return fusion; }
void set_fusion(bool enabled) { fusion = enabled; }

}  // namespace hrm

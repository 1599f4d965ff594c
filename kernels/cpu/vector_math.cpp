#include "kernels/cpu/vector_math.h"

#include "kernels/cpu/exp_bounds.h"

namespace hrm::HRM_CPU {

constinit const float kExpLeast = kLeastOfExp;
constinit const float kExpMost = kMostOfExp;

}  // namespace hrm::HRM_CPU

#include "kernels/cpu/vector_math.h"

namespace hrm::HRM_CPU {

constinit const float kExpLeast = -87.3f;
constinit const float kExpMost = 89.0f;

}  // namespace hrm::HRM_CPU

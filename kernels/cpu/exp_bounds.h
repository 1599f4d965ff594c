// The numbers behind kExpLeast and kExpMost of vector_math.h, for the sources that define them.
#pragma once

namespace hrm {

inline constexpr float kLeastOfExp = -87.3f, kMostOfExp = 89.0f;

}  // namespace hrm

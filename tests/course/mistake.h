// The solutions in this folder are right, and each can be told to make one of a student's mistakes:
//
//     MISTAKE=no_maximum build/cpu/course/2_softmax/mistake    # its grade must fail
//
// tests/cli/course.sh tries all of them.
#pragma once

#include <cstdlib>
#include <string_view>

namespace hrm::course {

// Whether the environment asks for this mistake.
inline bool mistake(std::string_view name) {
  const char* asked = std::getenv("MISTAKE");
  return asked && name == asked;
}

}  // namespace hrm::course

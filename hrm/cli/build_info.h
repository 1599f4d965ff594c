// What the program was built from and with, for `hrm info` and reports of bugs.
#pragma once

#include <string>

namespace hrm {

// The commit of the sources, with "-dirty" behind it if they had been changed; "unknown" where they
// were no clone.
std::string build_commit();
// "g++ 12.2.0, C++20".
std::string build_compiler();

}  // namespace hrm

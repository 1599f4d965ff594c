// The version of the project.
//
//     std::cout << "hrm.cpp " << kVersion << '\n';
#pragma once

namespace hrm {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace hrm

#include "hrm/cli/build_info.h"

#ifndef HRM_COMMIT
#define HRM_COMMIT ""
#endif

namespace hrm {

std::string build_commit() {
  const std::string commit = HRM_COMMIT;
  return commit.empty() ? "unknown" : commit;
}

std::string build_compiler() {
#ifdef __clang__
  std::string text = "clang++ " __clang_version__;
#else
  std::string text = "g++ " __VERSION__;
#endif
  text.resize(text.find_last_not_of(' ') + 1);
  const long year = __cplusplus / 100 % 100;
  // Before it is published, a standard has the year in which its work began.
  return text + ", C++" + std::to_string(year > 20 ? 23 : year);
}

}  // namespace hrm

// For `make unseen-checks` (SAN=seen), which compiles every source with this in front: an HRM_CHECK
// that fails leaves its file and line in the file that HRM_SEEN_CHECKS names.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "kernels/types.h"

namespace hrm::test {

inline void see_check(const char* file, int line) {
  const char* list = std::getenv("HRM_SEEN_CHECKS");
  if (std::FILE* out = list ? std::fopen(list, "a") : nullptr) {
    std::fprintf(out, "%s:%d\n", file, line);
    std::fclose(out);
  }
}

}  // namespace hrm::test

#undef HRM_CHECK
#define HRM_CHECK(condition, ...)                 \
  do {                                            \
    if (!(condition)) [[unlikely]] {              \
      ::hrm::test::see_check(__FILE__, __LINE__); \
      ::hrm::detail::fail(__VA_ARGS__);           \
    }                                             \
  } while (0)

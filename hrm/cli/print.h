// Text for the person at the terminal.
#pragma once

#include <cstdio>
#include <string>
#include <utility>

#include <fmt/core.h>

namespace hrm {

// Writes text to `file`; the pattern is checked at compile time:
//
//   print(stderr, "{} of {} tasks, {:.1f} %\n", done, all, 100.0 * done / all);
//
// fmt::print would throw where the text cannot be written, and a training must not end because
// nobody reads its messages. Here the stream remembers the failure, as with printf, and main()
// looks at the standard output at the end.
template <class... Args>
void print(std::FILE* file, fmt::format_string<Args...> pattern, Args&&... args) {
  const std::string text = fmt::format(pattern, std::forward<Args>(args)...);
  std::fwrite(text.data(), 1, text.size(), file);
}

// The same to the standard output.
template <class... Args>
void print(fmt::format_string<Args...> pattern, Args&&... args) {
  hrm::print(stdout, pattern, std::forward<Args>(args)...);
}

}  // namespace hrm

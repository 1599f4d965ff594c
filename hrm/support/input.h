// What the user names to be read: a file, a pipe or, as "-", the standard input.
#pragma once

#include <string>

#include "tensor/io.h"

namespace hrm {

inline constexpr int64_t kMostInput = int64_t{1} << 30;  // bytes

// The text of a file; "-" and pipes such as /dev/stdin are read to their end. An Error if there are
// more than `most` bytes: some devices never end.
std::string read_input(const Path& path, int64_t most = kMostInput);
// What errors call it.
std::string input_name(const Path& path);

}  // namespace hrm

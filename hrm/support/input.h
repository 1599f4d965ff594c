// What the user names to be read: a file, a pipe or, as "-", the standard input.
#pragma once

#include <string>

#include "tensor/io.h"

namespace hrm {

// The text of a file; "-" and pipes such as /dev/stdin are read to their end.
std::string read_input(const Path& path);
// What errors call it.
std::string input_name(const Path& path);

}  // namespace hrm

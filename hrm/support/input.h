// What the user names to be read: a file, a pipe or, as "-", the standard input.
//
//     const std::string text = read_input("-");
#pragma once

#include <optional>
#include <string>

#include "hrm/support/json.h"

namespace hrm {

// The text of a file; "-" and pipes such as /dev/stdin are read to their end. An Error if there are
// more than `most` bytes, if it is given; otherwise a pipe may hold 1 GiB, because some devices
// never end.
std::string read_input(const Path& path, std::optional<int64_t> most = {});
// The same, of one JSON value.
Json read_json_input(const Path& path);
// What errors call it.
std::string input_name(const Path& path);

}  // namespace hrm

#include "hrm/support/input.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <vector>

namespace hrm {

std::string input_name(const Path& path) {
  return path == "-" ? std::string("standard input") : path.string();
}

std::string read_input(const Path& path, int64_t most) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  const bool pipe = fs::is_fifo(status) || fs::is_character_file(status);
  const auto check_size = [&](uintmax_t bytes) {
    CHECK(bytes <= static_cast<uintmax_t>(most), "[read] ", input_name(path), " has more than ",
          most, " bytes. HINT: is it the right file?");
  };
  if (path != "-" && !pipe) {
    if (const uintmax_t size = fs::file_size(path, ignored); !ignored) check_size(size);
    return read_file(path);
  }
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    CHECK(file, "[read] cannot open ", path.string(), ": ", std::strerror(errno));
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::string text;
  std::vector<char> part(1 << 16);
  while (in.read(part.data(), std::ssize(part)) || in.gcount() > 0) {
    text.append(part.data(), in.gcount());
    check_size(text.size());
  }
  CHECK(!in.bad(), "[read] cannot read ", input_name(path));
  return text;
}

}  // namespace hrm

#include "hrm/support/input.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

namespace hrm {

std::string input_name(const Path& path) {
  return path == "-" ? std::string("standard input") : path.string();
}

std::string read_input(const Path& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  const bool pipe = fs::is_fifo(status) || fs::is_character_file(status);
  if (path != "-" && !pipe) return read_file(path);
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
    CHECK(!std::cin.bad(), "[read] cannot read standard input");
  } else {
    std::ifstream file(path);
    CHECK(file, "[read] cannot open ", path.string(), ": ", std::strerror(errno));
    text << file.rdbuf();
  }
  return text.str();
}

}  // namespace hrm

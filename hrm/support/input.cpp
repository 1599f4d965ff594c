#include "hrm/support/input.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <vector>

#include <nlohmann/json.hpp>

namespace hrm {

std::string input_name(const Path& path) {
  return path == "-" ? std::string("standard input") : path.string();
}

std::string read_input(const Path& path, std::optional<int64_t> most) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  const bool pipe = fs::is_fifo(status) || fs::is_character_file(status);
  constexpr int64_t kMostOfPipe = int64_t{1} << 30;
  const auto check_size = [&](uintmax_t bytes, int64_t limit) {
    HRM_CHECK(bytes <= static_cast<uintmax_t>(limit), "[read] ", input_name(path),
              " has more than ", limit, " bytes. HINT: is it the right file?");
  };
  if (path != "-" && !pipe) {
    const uintmax_t size = fs::file_size(path, error);
    if (most && !error) check_size(size, *most);
    return read_file(path);
  }
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    HRM_CHECK(file, "[read] cannot open ", path.string(), ": ", std::strerror(errno));
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::string text;
  std::vector<char> part(1 << 16);
  while (in.read(part.data(), std::ssize(part)) || in.gcount() > 0) {
    text.append(part.data(), in.gcount());
    check_size(text.size(), most.value_or(kMostOfPipe));
  }
  HRM_CHECK(!in.bad(), "[read] cannot read ", input_name(path));
  return text;
}

Json read_json_input(const Path& path) {
  return parse_json(read_input(path, kMaxJsonBytes), input_name(path));
}

}  // namespace hrm

// What the fuzz targets share. A target takes any bytes at all: either the library throws an
// hrm::Error, or what it returns is what it claims to be.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "kernels/types.h"

namespace hrm::fuzz {

// Stops the fuzzer, which keeps the input.
inline void must(bool holds) {
  if (!holds) __builtin_trap();
}

// Runs `action`; an hrm::Error is what damaged input ends in. Its text must be a line.
template <class Action>
void try_to(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    must(error.what()[0] == '[');
  }
}

// One input that stands for several files: "=== NAME\n", the bytes of the file, a line end that is
// no part of it, and the next.
inline std::map<std::string, std::string> files_of(const std::string& text) {
  const std::string mark = "=== ";
  std::map<std::string, std::string> files;
  for (size_t at = text.starts_with(mark) ? 0 : text.size(); at < text.size();) {
    const size_t line = text.find('\n', at);
    if (line == std::string::npos) break;
    const size_t next = std::min(text.find("\n" + mark, line), text.size());
    const std::string name = text.substr(at + mark.size(), line - at - mark.size());
    files[name] = next > line ? text.substr(line + 1, next - line - 1) : "";
    at = next + 1;
  }
  return files;
}

// A folder in memory that holds these files while it lives. Only names that are expected are
// written, so that no input can write elsewhere.
class Folder {
 public:
  Folder(const std::map<std::string, std::string>& files, const std::vector<std::string>& names)
      : path_("/dev/shm/hrm_fuzz_" + std::to_string(::getpid())) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
    for (const std::string& name : names) {
      const auto found = files.find(name);
      if (found == files.end()) continue;
      std::filesystem::create_directories((path_ / name).parent_path());
      std::ofstream(path_ / name, std::ios::binary) << found->second;
    }
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace hrm::fuzz

// Defined by every target.
void fuzz_one(const std::string& input);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz_one(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}

#include "hrm/support/json_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <nlohmann/json.hpp>

namespace hrm {
namespace {

// Returns 0, or the reason as an errno.
int write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno != EINTR) return errno;
    if (written > 0) text.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

// Ends the last line if it only lacks its line break, else removes it. Returns the size from which
// on the next line is written, or less than 0 with errno set.
off_t mend_last_line(int file, off_t size) {
  char last = 0;
  if (size == 0 || (::pread(file, &last, 1, size - 1) == 1 && last == '\n')) return size;
  std::string text(static_cast<size_t>(size), '\0');
  if (::pread(file, text.data(), text.size(), 0) != size) return -1;
  const size_t line = text.rfind('\n') + 1;  // 0 where there is no line break
  if (nlohmann::json::accept(text.substr(line))) {
    errno = write_all(file, "\n");
    return errno == 0 ? size + 1 : -1;
  }
  return ::ftruncate(file, static_cast<off_t>(line)) == 0 ? static_cast<off_t>(line) : -1;
}

// Returns 0, or the reason as an errno.
int append(int file, const std::string& line) {
  struct stat info {};
  if (::fstat(file, &info) != 0) return errno;
  if (!S_ISREG(info.st_mode)) return write_all(file, line);
  const off_t size = mend_last_line(file, info.st_size);
  if (size < 0) return errno ? errno : EIO;
  const int error = write_all(file, line);
  // Nothing half-written; if even that fails, the next call mends it.
  if (error && ::ftruncate(file, size) != 0) return error;
  return error;
}

}  // namespace

void append_json_line(const Path& path, const std::string& json) {
  const int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  const int file = ::open(path.c_str(), flags, 0666);
  HRM_CHECK(file >= 0 || errno != ELOOP, "[write] ", path.string(),
            " is a symbolic link. HINT: remove it");
  HRM_CHECK(file >= 0, "[write] cannot write ", path.string(), ": ", std::strerror(errno));
  int error = append(file, json + "\n");
  if (::close(file) != 0 && !error) error = errno;
  HRM_CHECK(!error, "[write] cannot write ", path.string(), ": ", std::strerror(error));
}

}  // namespace hrm

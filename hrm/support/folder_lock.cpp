#include "hrm/support/folder_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr int kTick = 100;  // milliseconds between two attempts
// So long a folder may seem to be held that is not: a program that the holder is just starting has
// its files until it runs.
constexpr int kAttempts = 10;

int open_lock(const Path& file) {
  // Whoever sends a folder may have put something else there: a link would let us write elsewhere,
  // a pipe would let us wait for ever.
  const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  const int opened = ::open(file.c_str(), flags, 0666);
  const int error = errno;
  struct stat info {};
  if (opened >= 0 && ::fstat(opened, &info) == 0 && S_ISREG(info.st_mode)) return opened;
  if (opened >= 0) ::close(opened);
  HRM_CHECK(opened < 0 && error != ELOOP && error != EISDIR && error != ENXIO, "[lock] ",
            file.string(), " must be a regular file. HINT: remove it");
  detail::fail("[lock] cannot open ", file.string(), ": ", std::strerror(error),
               ". HINT: choose a folder in which you may write");
}

// "process 17 on host"; anything else that the file may say is not repeated.
std::string holder(int file) {
  char text[400] = {};
  if (::pread(file, text, sizeof text - 1, 0) <= 0) return "another process";
  int pid = 0;
  char host[256] = {};
  const bool known = std::sscanf(text, "%d %255[-_.A-Za-z0-9]", &pid, host) == 2 && pid > 0;
  return known ? "process " + std::to_string(pid) + " on " + host : "another process";
}

// For people who wonder; the lock holds without it, as on a full disk.
void sign(int file) {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) std::strcpy(host, "localhost");
  const std::string text = std::to_string(::getpid()) + " " + host + "\n";
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, text.data(), text.size(), 0) < 0) return;
}

// Whether the file that is held has lost its name, as when a start that failed took it away again:
// then another process would hold another one.
bool has_no_name(int file) {
  struct stat info {};
  return ::fstat(file, &info) == 0 && info.st_nlink == 0;
}

}  // namespace

Path lock_folder(const Path& folder, const Path& below) {
  Path at = folder;
  std::error_code none;
  for (const Path& part : below) {
    at /= part;
    HRM_CHECK(!fs::is_symlink(at, none), "[lock] ", at.string(),
              " is a symbolic link. HINT: remove it");
  }
  return at;
}

FolderLock::FolderLock(const Path& folder, const std::function<bool()>& keep_waiting) {
  std::error_code error;
  fs::create_directories(folder, error);
  HRM_CHECK(!error, "[lock] cannot create ", folder.string(), ": ", error.message(),
            ". HINT: choose a folder in which you may write");
  file_ = open_lock(folder / "lock");
  int attempts = 0;
  try {
    while (::flock(file_, LOCK_EX | LOCK_NB) != 0 || has_no_name(file_)) {
      if (has_no_name(file_)) {
        ::close(file_);
        fs::create_directories(folder, error);
        file_ = -1;
        file_ = open_lock(folder / "lock");
        continue;
      }
      HRM_CHECK(errno == EWOULDBLOCK || errno == EINTR, "[lock] cannot lock ", folder.string(),
                ": ", std::strerror(errno), ". HINT: choose a folder on a disk of this machine");
      const bool waits = keep_waiting ? keep_waiting() : ++attempts < kAttempts;
      HRM_CHECK(waits, "[lock] ", folder.string(), " is in use by ", holder(file_),
                ". HINT: wait until it has finished, or choose another folder");
      ::poll(nullptr, 0, kTick);
    }
  } catch (...) {
    ::close(file_);
    throw;
  }
  sign(file_);
}

FolderLock::~FolderLock() { ::close(file_); }

}  // namespace hrm

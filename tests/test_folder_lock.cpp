// One process at a time in a folder: between processes, after any death, against strange files.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hrm/support/folder_lock.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

namespace {

// A child process that holds a folder until it is killed.
class Holder {
 public:
  explicit Holder(const Path& folder) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const FolderLock lock(folder);
      if (::write(ends[1], "!", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    ::close(ends[1]);
    char mark = 0;
    REQUIRE(::read(ends[0], &mark, 1) == 1);
    ::close(ends[0]);
  }
  ~Holder() { kill(); }
  void kill() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

std::string host() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

TEST_CASE("folder lock: another process is named, and its death frees the folder") {
  const TempDir dir;
  const Path folder = dir / "a/b";
  Holder holder(folder);
  const std::string who = "process " + std::to_string(holder.pid()) + " on " + host();
  expect_error([&] { const FolderLock lock(folder); },
               "[lock] " + folder.string() + " is in use by " + who +
                   ". HINT: wait until it has finished, or choose another folder");
  holder.kill();
  const FolderLock lock(folder);
  CHECK(read_file(folder / "lock") == std::to_string(::getpid()) + " " + host() + "\n");
  // Within one process, too.
  expect_error([&] { const FolderLock second(folder); },
               "in use by process " + std::to_string(::getpid()));
}

TEST_CASE("folder lock: waits as long as it is told to") {
  const TempDir dir;
  Holder holder(dir.path());
  int asked = 0;
  expect_error([&] { const FolderLock lock(dir.path(), [&] { return ++asked < 3; }); },
               "is in use by process");
  CHECK(asked == 3);
  // The holder dies while this process waits.
  const FolderLock lock(dir.path(), [&] {
    holder.kill();
    return true;
  });
  CHECK(holder.pid() == 0);
}

TEST_CASE("folder lock: released at the end; a program that was started does not hold it") {
  const TempDir dir;
  pid_t child = 0;
  {
    const FolderLock lock(dir.path());
    child = ::fork();
    if (child == 0) {
      ::execlp("sleep", "sleep", "30", nullptr);
      ::_exit(127);
    }
    // Whether the child runs sleep by now: its memory is no longer this program's.
    const Path program = "/proc/" + std::to_string(child) + "/exe";
    const Path self = fs::read_symlink("/proc/self/exe");
    for (int i = 0; i < 1000 && fs::read_symlink(program) == self; ++i) ::usleep(10000);
  }
  CHECK_NOTHROW(FolderLock(dir.path()));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(dir.list() == std::vector<std::string>{"lock"});  // it stays, for the next one
}

TEST_CASE("folder lock: a strange file called lock is refused and left alone") {
  const TempDir dir;
  const auto try_lock = [&] { const FolderLock lock(dir.path()); };
  write_file_atomically(dir / "precious", "text");
  fs::create_symlink(dir / "precious", dir / "lock");
  expect_error(try_lock, "lock must be a regular file. HINT: remove it");
  CHECK(read_file(dir / "precious") == "text");
  fs::remove(dir / "lock");
  REQUIRE(::mkfifo((dir / "lock").c_str(), 0666) == 0);
  expect_error(try_lock, "lock must be a regular file. HINT: remove it");
  fs::remove(dir / "lock");
  fs::create_directory(dir / "lock");
  expect_error(try_lock, "lock must be a regular file. HINT: remove it");
  fs::remove(dir / "lock");
  // What a stranger wrote into it is not repeated on the terminal.
  Holder holder(dir.path());
  std::ofstream(dir / "lock") << "7 \x1b]0;evil";
  expect_error(try_lock, "is in use by another process. HINT");
  expect_error([&] { const FolderLock lock(dir / "precious"); }, "[lock] cannot create ");
}

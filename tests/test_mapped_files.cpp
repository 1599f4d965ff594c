// A mapped file that somebody cuts off while it is read.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "tensor/io.h"
#include "tensor/mapped_files.h"
#include "tests/support/support.h"

namespace hrm {
namespace {

using test::TempDir;

struct Died {
  int status;         // as waitpid gives it
  std::string words;  // on stderr
};

// Runs `work` in a child process.
template <class Work>
Died in_a_child(const Work& work) {
  std::array<int, 2> pipe = {};
  REQUIRE(::pipe(pipe.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(pipe[1], STDERR_FILENO);
    explain_truncated_files(2);
    work();
    ::_exit(0);
  }
  ::close(pipe[1]);
  Died died{0, ""};
  char byte = 0;
  while (::read(pipe[0], &byte, 1) == 1) died.words += byte;
  ::close(pipe[0]);
  REQUIRE(::waitpid(child, &died.status, 0) == child);
  return died;
}

unsigned char sum_of(const MappedFile& file) {
  unsigned char sum = 0;
  for (const std::byte b : file.bytes()) sum += static_cast<unsigned char>(b);
  return sum;
}

TEST_CASE("mapped files: one that is cut off while it is read is named, in one line") {
  const TempDir dir;
  const Path path = dir / "in\x1bputs.npy";
  write_file_atomically(path, std::string(100'000, 'x'));
  const Died died = in_a_child([&] {
    const MappedFile other(path), file(path);
    std::filesystem::resize_file(path, 10);
    volatile unsigned char sum = sum_of(file);
    static_cast<void>(sum);
  });
  REQUIRE(WIFEXITED(died.status));
  CHECK(WEXITSTATUS(died.status) == 2);
  CHECK(died.words.starts_with("hrm: [read] "));
  CHECK(died.words.find("in?puts.npy was cut off while it was in use. HINT: ") !=
        std::string::npos);
  CHECK(std::ranges::count(died.words, '\n') == 1);
}

TEST_CASE("mapped files: SIGBUS of another cause kills, as ever") {
  const TempDir dir;
  write_file_atomically(dir / "a", std::string(100, 'x'));
  const Died died = in_a_child([&] {
    { const MappedFile gone(dir / "a"); }
    ::raise(SIGBUS);
    ::raise(SIGBUS);  // the first one only took the handler away
  });
  CHECK(WIFSIGNALED(died.status));
  CHECK(WTERMSIG(died.status) == SIGBUS);
  CHECK(died.words.empty());
}

TEST_CASE("mapped files: places in the table are used again, and more files do no harm") {
  const TempDir dir;
  write_file_atomically(dir / "a", std::string("text"));
  for (int i = 0; i < 5000; ++i) CHECK(MappedFile(dir / "a").bytes().size() == 4);
  std::vector<MappedFile> many;
  for (int i = 0; i < 2000; ++i) many.emplace_back(dir / "a");
  CHECK(sum_of(many.back()) == sum_of(many.front()));
}

}  // namespace
}  // namespace hrm

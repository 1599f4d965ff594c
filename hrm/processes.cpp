#include "hrm/processes.h"

#include <omp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "kernels/types.h"

namespace hrm {
namespace {

constexpr int kTick = 200;  // milliseconds

struct Child {
  int64_t index;
  int pipe;  // what it failed of
};

// Never returns.
[[noreturn]] void be_child(const SideBySide& what, int64_t index, int pipe) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  int status = 1;
  std::string why;
  try {
    omp_set_num_threads(what.threads);
    what.work(index);
    status = 0;
  } catch (const std::exception& error) {
    why = error.what();
  }
  why.resize(std::min<size_t>(why.size(), 4096));  // less than a pipe holds
  if (::write(pipe, why.data(), why.size()) < 0) status = 1;
  ::_exit(status);
}

std::string read_all(int pipe) {
  std::string text;
  char part[512];
  for (ssize_t n; (n = ::read(pipe, part, sizeof part)) > 0;) text.append(part, n);
  ::close(pipe);
  return text;
}

}  // namespace

void run_side_by_side(int64_t count, const SideBySide& what) {
  std::map<pid_t, Child> running;
  int64_t next = 0;
  bool going = true;
  while ((going && next < count) || !running.empty()) {
    if (what.stop && what.stop->load()) going = false;
    if (going && next < count && static_cast<int>(running.size()) < what.jobs) {
      int ends[2];
      CHECK(::pipe(ends) == 0, "[processes] cannot open a pipe");
      const pid_t child = ::fork();
      CHECK(child >= 0, "[processes] cannot start a process. HINT: fewer --jobs");
      if (child == 0) be_child(what, next, ends[1]);
      ::close(ends[1]);
      running[child] = {next++, ends[0]};
      continue;
    }
    int status = 0;
    const pid_t child = ::waitpid(-1, &status, WNOHANG);
    if (child <= 0) {
      if (what.tick) what.tick();
      ::poll(nullptr, 0, kTick);
      continue;
    }
    const auto it = running.find(child);
    if (it == running.end()) continue;
    const Child ended = it->second;
    running.erase(it);
    const std::string why = read_all(ended.pipe);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      what.done(ended.index);
    } else {
      what.failed(ended.index, why.empty() ? "its process was stopped" : why);
      going = false;
    }
  }
}

}  // namespace hrm

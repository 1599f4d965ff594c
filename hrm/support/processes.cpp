#include "hrm/support/processes.h"

#include <fcntl.h>
#include <omp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

#include "hrm/support/stop_signals.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::milliseconds kTick{200};
constexpr int kCannotStart = 127;  // status of a child in which the program did not start

class File {
 public:
  File(const Path& path, int flags)
      : descriptor_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0666)) {
    HRM_CHECK(descriptor_ >= 0, "[write] cannot open ", path.string(), ": ", std::strerror(errno));
  }
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// Starts the program. Everything is prepared before the fork: a child of a process with several
// threads may only make system calls.
pid_t start(const ProcessCommand& command) {
  const File input("/dev/null", O_RDONLY);
  const File log(command.log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND);
  const File output(command.output, O_WRONLY | O_CREAT | O_TRUNC);
  std::vector<char*> arguments = {const_cast<char*>(command.program.c_str())};
  for (const std::string& w : command.words) arguments.push_back(const_cast<char*>(w.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  HRM_CHECK(child >= 0, "[processes] cannot start a process: ", std::strerror(errno),
            ". HINT: fewer --jobs");
  if (child > 0) return child;
  // The parent may have died before the kernel was told what to do then.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) ::_exit(kCannotStart);
  // A shell may have had this process ignore them.
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  ::dup2(input.descriptor(), STDIN_FILENO);
  ::dup2(output.descriptor(), STDOUT_FILENO);
  ::dup2(log.descriptor(), STDERR_FILENO);
  ::execv(arguments[0], arguments.data());
  ::_exit(kCannotStart);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status))
    return std::string("it was ended by a signal (") + ::strsignal(WTERMSIG(status)) + ")";
  if (WEXITSTATUS(status) == kCannotStart) return "it could not be started";
  return "its exit status was " + std::to_string(WEXITSTATUS(status));
}

// Why a command failed: the last line that it said. Where there is none, perhaps because its log
// could not be written, either: writing there ourselves tells why.
std::string why_it_failed(const ProcessCommand& command, int status) {
  std::string said = fs::is_regular_file(command.log) ? read_file(command.log) : "";
  while (!said.empty() && said.back() == '\n') said.pop_back();
  const std::string end = how_it_ended(status);
  // What a command that was ended from outside said last is no reason.
  if (!said.empty() && !WIFSIGNALED(status)) return said.substr(said.rfind('\n') + 1);
  if (!said.empty()) return end;
  const File log(command.log, O_WRONLY | O_APPEND);
  if (::write(log.descriptor(), "\n", 1) == 1) return end + ", without a word";
  return end + ", and its log " + command.log.string() +
         " cannot be written: " + std::strerror(errno);
}

}  // namespace

void ProcessPool::command(const ProcessCommand& command) {
  pid_t child = 0;
  {
    const std::lock_guard lock(mutex_);
    HRM_CHECK(StopSignals::count() == 0, "[processes] stopped");
    child = start(command);
    children_.insert(child);
  }
  // The number of a child is its own until it is reaped. So that no other process is sent a signal,
  // that is done under the lock.
  siginfo_t ended{};
  while (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
  int status = 0;
  {
    const std::lock_guard lock(mutex_);
    ::waitpid(child, &status, 0);
    children_.erase(child);
  }
  if (status != 0) throw Error(why_it_failed(command, status));
}

struct ProcessPool::State {
  int64_t count;
  const std::function<void(int64_t i)>& work;
  int64_t next = 0;
  int working = 0;             // threads
  std::vector<int64_t> ended;  // that `done` was not told of
  std::exception_ptr failed;   // the first
};

// What one thread does.
void ProcessPool::work_off(State& state) {
  std::unique_lock lock(mutex_);
  while (state.next < state.count && !state.failed && StopSignals::count() == 0) {
    const int64_t i = state.next++;
    lock.unlock();
    std::exception_ptr failed;
    try {
      state.work(i);
    } catch (...) {
      failed = std::current_exception();
    }
    lock.lock();
    if (!failed) state.ended.push_back(i);
    if (!state.failed) state.failed = failed;
    changed_.notify_all();
  }
  --state.working;
  changed_.notify_all();
}

// `*passed` counts the requests that the children know of.
void ProcessPool::pass_on_signals(int* passed) {
  const int received = StopSignals::count();
  if (received == *passed) return;
  *passed = received;
  for (const pid_t child : children_) ::kill(child, received > 1 ? SIGKILL : SIGTERM);
}

// Calls `done` and `tick`; returns the first exception.
std::exception_ptr ProcessPool::tell(const std::vector<int64_t>& ended) {
  std::exception_ptr failed;
  const auto call = [&](const auto& function, auto... arguments) {
    try {
      if (function) function(arguments...);
    } catch (...) {
      if (!failed) failed = std::current_exception();
    }
  };
  for (const int64_t i : ended) call(done, i);
  call(tick);
  return failed;
}

int own_cores() { return std::max(1, omp_get_num_procs()); }

void ProcessPool::run(int64_t count, const std::function<void(int64_t i)>& work) {
  State state{.count = count, .work = work, .ended = {}, .failed = nullptr};
  std::vector<std::thread> threads;
  std::unique_lock lock(mutex_);
  try {
    while (std::ssize(threads) < std::min<int64_t>(jobs_, count)) {
      threads.emplace_back([&] { work_off(state); });
      ++state.working;
    }
  } catch (const std::system_error&) {
    state.failed =
        std::make_exception_ptr(Error("[processes] cannot start a thread. HINT: fewer --jobs"));
  }
  int passed = 0;
  while (state.working > 0 || !state.ended.empty()) {
    if (state.ended.empty()) changed_.wait_for(lock, kTick);
    pass_on_signals(&passed);
    const std::vector<int64_t> ended = std::exchange(state.ended, {});
    lock.unlock();
    const std::exception_ptr failed = tell(ended);
    lock.lock();
    if (!state.failed) state.failed = failed;
  }
  lock.unlock();
  for (std::thread& thread : threads) thread.join();
  if (state.failed && StopSignals::count() == 0) std::rethrow_exception(state.failed);
}

}  // namespace hrm

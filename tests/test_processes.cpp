// Programs side by side: order, failures, stopping, and that no child outlives its parent.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>

#include "hrm/support/processes.h"
#include "hrm/support/stop_signals.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

namespace {

ProcessCommand shell(const TempDir& dir, const std::string& text) {
  return {
      .program = "/bin/sh", .words = {"-c", text}, .output = dir / "output", .log = dir / "log"};
}

// How a process ends that raises these signals, `apart` milliseconds after each other: its exit
// status, or minus the signal that killed it.
int status_after(const std::vector<int>& signals, int apart) {
  const pid_t child = ::fork();
  if (child == 0) {
    const StopSignals noted(StopSignals::Second::ends_the_process);
    for (const int signal : signals) {
      std::raise(signal);
      ::usleep(1000 * apart);
    }
    ::_exit(StopSignals::exit_status());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// Waits up to 30 s for a condition.
bool comes_true(const std::function<bool()>& condition) {
  for (int i = 0; i < 3000 && !condition(); ++i) ::usleep(10000);
  return condition();
}

}  // namespace

TEST_CASE("processes: work side by side, a failure is thrown and the others finish") {
  std::vector<int64_t> done;
  ProcessPool three(3);
  three.done = [&](int64_t i) { done.push_back(i); };
  three.run(4, [](int64_t) {});
  std::ranges::sort(done);
  CHECK(done == std::vector<int64_t>{0, 1, 2, 3});
  // One at a time: in order, and none after the failure.
  done.clear();
  ProcessPool one(1);
  one.done = three.done;
  const auto fail_at_4 = [](int64_t i) {
    if (i == 4) detail::fail("[work] number 4");
  };
  expect_error([&] { one.run(9, fail_at_4); }, "[work] number 4");
  CHECK(done == std::vector<int64_t>{0, 1, 2, 3});
  // Each waits for the others: they run at the same time.
  std::atomic<int> here{0};
  three.run(3, [&](int64_t) {
    ++here;
    if (!comes_true([&] { return here == 3; })) detail::fail("[work] alone for 30 s");
  });
  // What `done` throws is a failure as well: results that cannot be stored.
  one.done = [](int64_t) { detail::fail("[write] full"); };
  int64_t worked = 0;
  expect_error(
      [&] {
        one.run(1000, [&](int64_t) {
          ::usleep(2000);
          ++worked;
        });
      },
      "[write] full");
  CHECK(worked < 1000);
  CHECK_NOTHROW(three.run(0, fail_at_4));
}

TEST_CASE("processes: a command writes its files, and says why it failed") {
  const TempDir dir;
  ProcessPool pool(1);
  pool.command(shell(dir, "echo out; echo said >&2; cat"));  // nothing to read: cat ends
  CHECK(read_file(dir / "output") == "out\n");
  CHECK(read_file(dir / "log") == "said\n");
  const auto fails = [&](const ProcessCommand& command, const std::string& why) {
    expect_error([&] { pool.command(command); }, why);
  };
  fails(shell(dir, "echo one >&2; echo two >&2; exit 3"), "two");
  fails(shell(dir, "exit 3"), "its exit status was 3, without a word");
  fails(shell(dir, "kill -9 $$"), "it was ended by a signal (Killed), without a word");
  ProcessCommand command = shell(dir, "echo lost >&2; exit 3");
  command.log = "/dev/full";
  fails(command, "its exit status was 3, and its log /dev/full cannot be written: No space left");
  command.log = dir / "none/log";
  fails(command, "none/log: No such file or directory");
  command = shell(dir, "");
  command.program = dir / "none";
  fails(command, "it could not be started");
  // A link in a folder from elsewhere is not written through.
  fs::create_symlink(dir / "precious", dir / "link");
  command = shell(dir, "echo out");
  command.output = dir / "link";
  fails(command, "[write] cannot open");
  CHECK(!fs::exists(dir / "precious"));
}

TEST_CASE("processes: a signal is passed on to the children, a second one kills them") {
  const TempDir dir;
  ProcessPool pool(1);
  // The child's own `trap`; the signals that come once it is set. Returns why it ended.
  const auto run = [&](const std::string& trap, const std::vector<int>& signals) {
    const StopSignals noted;
    fs::remove(dir / "here");
    pool.tick = [&] {
      const auto come = static_cast<size_t>(StopSignals::count());
      if (fs::exists(dir / "here") && come < signals.size()) std::raise(signals[come]);
    };
    int64_t worked = 0;
    std::string ended;
    pool.run(5, [&](int64_t) {
      ++worked;
      try {
        pool.command(shell(dir, "trap " + trap + "; echo > " + (dir / "here").string() +
                                    "; while :; do sleep 0.05; done"));
      } catch (const Error& error) {
        ended = error.what();
        throw;
      }
    });
    CHECK(worked == 1);  // nothing more is started, and the end of the first is no failure
    expect_error([&] { pool.command(shell(dir, "")); }, "[processes] stopped");
    return ended;
  };
  CHECK(run("'echo bye; exit 1' TERM", {SIGTERM}).starts_with("its exit status was 1"));
  CHECK(read_file(dir / "output") == "bye\n");
  CHECK(run("'exit 2' TERM", {SIGINT}).starts_with("its exit status was 2"));
  CHECK(run("'' TERM", {SIGTERM, SIGTERM}).starts_with("it was ended by a signal (Killed)"));
  // Ignored by this process, as in the background of a shell, it still ends a child.
  const auto old = std::signal(SIGTERM, SIG_IGN);
  CHECK(run("'' HUP", {SIGINT}).starts_with("it was ended by a signal (Terminated)"));
  std::signal(SIGTERM, old);
}

TEST_CASE("processes: children die with their parent, killed or not") {
  const TempDir dir;
  const pid_t parent = ::fork();
  if (parent == 0) {
    try {
      ProcessPool(1).command(shell(dir, "trap '' TERM HUP INT; echo $$; exec sleep 100"));
    } catch (const Error&) {
    }
    ::_exit(0);
  }
  pid_t child = 0;
  REQUIRE(comes_true([&] {
    std::ifstream(dir / "output") >> child;
    return child > 0;
  }));
  CHECK(::kill(child, 0) == 0);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  // It may stay a zombie for a moment, until the init process has heard of it.
  CHECK(comes_true([&] {
    std::string state;
    std::ifstream file("/proc/" + std::to_string(child) + "/status");
    for (std::string line; std::getline(file, line);)
      if (line.starts_with("State:")) state = line;
    return state.empty() || state.find('Z') != std::string::npos;
  }));
}

TEST_CASE("stop signals: noted instead of an end, the first one gives the status") {
  const auto old = std::signal(SIGTERM, SIG_IGN);
  {
    const StopSignals signals;
    CHECK(StopSignals::count() == 0);
    CHECK(StopSignals::exit_status() == 0);
    std::raise(SIGTERM);
    std::raise(SIGINT);  // the same request, passed on by a parent
    CHECK(StopSignals::count() == 1);
    ::usleep(1100000);
    std::raise(SIGINT);
    CHECK(StopSignals::count() == 2);
    CHECK(StopSignals::exit_status() == 143);
  }
  const bool restored = std::signal(SIGTERM, old) == SIG_IGN;
  CHECK(restored);
  CHECK(StopSignals::count() == 0);
  {
    const StopSignals again;
    std::raise(SIGINT);
    CHECK(StopSignals::exit_status() == 130);
  }
}

TEST_CASE("stop signals: a second request may end the process, one that comes twice does not") {
  CHECK(status_after({SIGTERM, SIGTERM}, 10) == 143);
  CHECK(status_after({SIGINT, SIGTERM}, 10) == 130);
  CHECK(status_after({SIGINT, SIGINT}, 1100) == -SIGINT);
  CHECK(status_after({SIGINT, SIGTERM}, 1100) == -SIGTERM);
}

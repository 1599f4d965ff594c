// Programs side by side: order, failures, stopping, and that no child outlives its parent.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>

#include "hrm/processes.h"
#include "hrm/support/stop_signals.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

namespace {

Command shell(const TempDir& dir, const std::string& text) {
  return {
      .program = "/bin/sh", .words = {"-c", text}, .output = dir / "output", .log = dir / "log"};
}

// Waits up to 30 s for a condition.
bool comes_true(const std::function<bool()>& condition) {
  for (int i = 0; i < 3000 && !condition(); ++i) ::usleep(10000);
  return condition();
}

}  // namespace

TEST_CASE("processes: work side by side, a failure is thrown and the others finish") {
  std::vector<int64_t> done;
  SideBySide three(3);
  three.done = [&](int64_t i) { done.push_back(i); };
  three.run(4, [](int64_t) {});
  std::ranges::sort(done);
  CHECK(done == std::vector<int64_t>{0, 1, 2, 3});
  // One at a time: in order, and none after the failure.
  done.clear();
  SideBySide one(1);
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
  SideBySide pool(1);
  pool.command(shell(dir, "echo out; echo said >&2; cat"));  // nothing to read: cat ends
  CHECK(read_file(dir / "output") == "out\n");
  CHECK(read_file(dir / "log") == "said\n");
  const auto fails = [&](const Command& command, const std::string& why) {
    expect_error([&] { pool.command(command); }, why);
  };
  fails(shell(dir, "echo one >&2; echo two >&2; exit 3"), "two");
  fails(shell(dir, "exit 3"), "its exit status was 3, without a word");
  fails(shell(dir, "kill -9 $$"), "it was ended by a signal (Killed), without a word");
  Command command = shell(dir, "echo lost >&2; exit 3");
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

TEST_CASE("processes: a request to stop is passed on to the children, a second one kills them") {
  const TempDir dir;
  std::atomic<int> asked{0};
  std::string ended;
  SideBySide pool(1);
  pool.stop = [&] { return asked.load(); };
  const auto run = [&](const std::string& on_term) {
    fs::remove(dir / "here");
    asked = 0;
    int64_t worked = 0;
    pool.run(5, [&](int64_t) {
      ++worked;
      try {
        pool.command(shell(dir, "trap '" + on_term + "' TERM; echo > " + (dir / "here").string() +
                                    "; while :; do sleep 0.05; done"));
      } catch (const Error& error) {
        ended = error.what();
        throw;
      }
    });
    CHECK(worked == 1);  // nothing more is started, and the end of the first is no failure
  };
  pool.tick = [&] { asked = fs::exists(dir / "here"); };
  run("echo bye; exit 1");
  CHECK(ended.starts_with("its exit status was 1"));
  CHECK(read_file(dir / "output") == "bye\n");
  pool.tick = [&] { asked = fs::exists(dir / "here") ? std::min(asked + 1, 2) : 0; };
  run("");
  CHECK(ended.starts_with("it was ended by a signal (Killed)"));
  CHECK(pool.stopping());
  expect_error([&] { pool.command(shell(dir, "")); }, "[processes] stopped");
}

TEST_CASE("processes: a hint joins the one that an error has") {
  CHECK(std::string(with_hint(Error("[a] b"), "c").what()) == "[a] b. HINT: c");
  CHECK(std::string(with_hint(Error("[a] b. HINT: d"), "c").what()) == "[a] b. HINT: d; c");
}

TEST_CASE("processes: children die with their parent, killed or not") {
  const TempDir dir;
  const pid_t parent = ::fork();
  if (parent == 0) {
    SideBySide(1).command(shell(dir, "trap '' TERM HUP INT; echo $$; exec sleep 100"));
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
    std::raise(SIGINT);
    CHECK(StopSignals::count() == 2);
    CHECK(StopSignals::exit_status() == 143);
  }
  const bool restored = std::signal(SIGTERM, old) == SIG_IGN;
  CHECK(restored);
  {
    const StopSignals again;
    CHECK(StopSignals::count() == 0);
    std::raise(SIGINT);
    CHECK(StopSignals::exit_status() == 130);
  }
}

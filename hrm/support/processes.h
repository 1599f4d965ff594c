// Programs side by side, as children of this process that never outlive it.
//
//     ProcessPool processes(2);   // two at a time
//     processes.run(8, [&](int64_t i) { processes.command(commands[i]); });
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tensor/io.h"

namespace hrm {

// A program with its arguments. It reads nothing; what it prints goes to the file `output`, what it
// says on standard error to the file `log`; both are written anew.
struct ProcessCommand {
  Path program;
  std::vector<std::string> words;
  Path output, log;
};

// How many cores this process may use: launchers often give it a part of the machine.
int own_cores();

class ProcessPool {
 public:
  explicit ProcessPool(int jobs) : jobs_(jobs) {}

  // Called on the thread that called run(): as each work ends, and a few times a second.
  std::function<void(int64_t i)> done;
  std::function<void()> tick;

  // Calls work(0), work(1), ... work(count - 1) in this order, `jobs` at a time, each on a thread
  // of its own, and waits for all. Once one has thrown (or `done` has) no more are started and the
  // others finish; then the first exception is thrown.
  // After a signal (StopSignals) no more are started, running programs get SIGTERM, and it returns:
  // that they end then is no failure. After a second request they are killed.
  void run(int64_t count, const std::function<void(int64_t i)>& work);

  // For work: runs a program to its end. Throws why it failed: the last line of its log, or how it
  // ended. The kernel kills the program when this process dies, however that happens.
  void command(const ProcessCommand& command);

 private:
  struct State;  // of one run
  void work_off(State& state);
  void pass_on_signals(int* passed);
  std::exception_ptr tell(const std::vector<int64_t>& ended);

  int jobs_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<pid_t> children_;
};

}  // namespace hrm

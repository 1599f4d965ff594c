// Runs the program under test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/torture/files.h"

namespace hrm::torture {

using Words = std::vector<std::string>;

// What every process is started with. Set once, before the first.
struct Launch {
  Path program;               // absolute
  unsigned work_limit = 60;   // seconds of computing; then SIGXCPU ends the process
  unsigned time_limit = 600;  // seconds on the clock, however busy the machine is; then SIGALRM
  size_t memory_limit = 0;    // bytes of address space; 0: none
};
extern Launch launch;

// How a process ended and what it printed.
struct Result {
  int status = 0;  // exit status, if no signal ended it
  int signal = 0;
  std::string out, err;

  bool succeeded() const { return signal == 0 && status == 0; }
  std::string last_line() const;  // of err
  std::string describe() const;   // "status 1: hrm: [json] ..."
};

// Whatever its input was, a program must not end like this: killed by a signal, stuck, failed
// without exactly one clear line, with a bare message of a library, or with control characters on
// its way to the terminal. Says which it was, or "" if all is well.
std::string misbehaviour(const Result& result);

// A running program. Standard input is empty; output goes to anonymous files, so that the process
// never waits for a reader.
class Process {
 public:
  // `standard_out`: a file for it instead, e.g. /dev/full. `traced`: the process stops at exec for
  // the caller, who traces it.
  explicit Process(const Words& arguments, const Path& standard_out = {}, bool traced = false);
  ~Process();  // a process that still runs is killed
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // Whether it still runs; never waits.
  bool running();
  // Waits up to `seconds` for its end; whether it still runs.
  bool running_after(double seconds);
  void send(int signal);
  // Waits for the end.
  Result wait();
  // For a tracer that has waited itself.
  Result ended_with(int wait_status);

 private:
  Result collect(int wait_status);

  pid_t pid_ = -1;
  int out_ = -1, err_ = -1;
  bool running_ = true;
  int wait_status_ = 0;
};

Result run(const Words& arguments, const Path& standard_out = {});

double now();  // seconds of a steady clock
void sleep_for(double seconds);
std::string joined(const Words& words);

}  // namespace hrm::torture

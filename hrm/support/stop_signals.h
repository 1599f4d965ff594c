// Ctrl-C and `kill` as a request instead of an end.
//
//     const StopSignals signals;
//     while (StopSignals::count() == 0 && more_to_do()) step();
//     return StopSignals::exit_status();
#pragma once

namespace hrm {

// While one lives, SIGINT and SIGTERM do not end the process but are noted; one at a time. Signals
// within a second are one request: a terminal sends Ctrl-C to all programs of a command, `kill
// -PID` and service managers do the same, and a parent passes on to its children what it has
// received.
class StopSignals {
 public:
  enum class Second { is_noted, ends_the_process };
  explicit StopSignals(Second second = Second::is_noted);
  ~StopSignals();  // they do again what they did before, and none is noted
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  static int count();  // how many requests have come
  // The status to end with, as a shell gives it to a program that a signal ended: 130 for SIGINT,
  // 143 for SIGTERM; 0 if none has come.
  static int exit_status();

  // From now on a signal ends the process at once, with that status and `farewell` (which must stay
  // where it is) on standard error: for work that may be lost. Null: signals are noted again.
  static void leave_with(const char* farewell);

 private:
  using Handler = void (*)(int);
  Handler interrupt_, terminate_;
};

}  // namespace hrm

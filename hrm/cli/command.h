// The commands of the program and their options.
//
//     Command command = app.command("eval", "Evaluate a run on a data set.");
//     command.text("--run", s->run, "The run folder.").required();
//     command.whole_number("--batch", s->batch, 1, 1024, "Puzzles that are computed at once.");
//     const Option halt = command.flag("--halt", s->halting, "Stop a puzzle early.");
//     command.finite_number("--halt-threshold", s->threshold, "When to stop.").needs(halt);
//     command.action([s] { eval(*s); });
//
// CLI11 reads the command line. This is a front before it, so that the sources of the commands do
// not compile CLI11 (more than three seconds each), and so that all options check their values and
// explain them alike. A name without dashes is that of a positional argument. The variables that
// options set must live as long as the Program.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "hrm/config.h"
#include "hrm/support/shard.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace hrm {

inline constexpr int kHelpColumn = 34;  // where the help of options begins
inline constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// One option of a command, to say more about it.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option required(bool yes = true) const;
  // It means nothing without the other, or must not be given beside it.
  Option needs(Option other) const;
  Option excludes(Option other) const;
  // What help shows for the value: "KEY=VALUE" instead of "TEXT".
  Option shown_as(const std::string& value) const;
  // Whether the command line has it.
  bool given() const;

 private:
  CLI::Option* option_;
};

class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}

  // A command below this one, which then cannot be called without one.
  Command command(const std::string& name, const std::string& help) const;
  // What the command does, once all options are read.
  void action(std::function<void()> run) const;
  // What help says below the options.
  void footer(const std::string& text) const;
  // The heading in the help for the options that follow.
  void section(const std::string& heading) const;
  // Not in the help.
  void hide() const;

  Option flag(const std::string& name, bool& value, const std::string& help) const;
  Option text(const std::string& name, std::string& value, const std::string& help) const;
  // Several words after the option, or the option several times.
  Option texts(const std::string& name, std::vector<std::string>& value,
               const std::string& help) const;
  // One word of items with commas between them.
  Option list(const std::string& name, std::vector<std::string>& value,
              const std::string& help) const;
  Option list(const std::string& name, std::vector<int64_t>& value, int64_t low,
              const std::string& help) const;
  // One of a few words; for another, the nearest is suggested.
  Option choice(const std::string& name, std::string& value, const std::vector<std::string>& words,
                const std::string& help) const;
  Option choice(const std::string& name, int& value, const std::vector<int>& numbers,
                const std::string& help) const;
  // T: int, int64_t or uint64_t; the value is `low` to `high`.
  template <class T>
  Option whole_number(const std::string& name, T& value, int64_t low, int64_t high,
                      const std::string& help) const;
  template <class T>
  Option whole_number(const std::string& name, T& value, int64_t low,
                      const std::string& help) const {
    return whole_number(name, value, low, kNoLimit, help);
  }
  // A finite number; with `low`, of at least that.
  Option finite_number(const std::string& name, double& value, const std::string& help) const;
  Option number(const std::string& name, double& value, double low, const std::string& help) const;
  // A time above 0, in seconds or with a unit (60s, 5m, 1h); `value` is in seconds.
  Option duration(const std::string& name, double& value, const std::string& help) const;
  // "2/4", a part of the work.
  Option shard(const std::string& name, std::optional<Shard>& value, const std::string& help) const;
  // The name of a value of an enum.
  template <class E>
  Option named(const std::string& name, E& value, const std::string& help) const {
    const auto& names = EnumNames<E>::names;
    const auto set = [&](const std::string& text) {
      value = static_cast<E>(std::find(names.begin(), names.end(), text) - names.begin());
    };
    return word(name, set, {names.begin(), names.end()}, help);
  }

 private:
  Option word(const std::string& name, const std::function<void(const std::string&)>& set,
              const std::vector<std::string>& words, const std::string& help) const;

  CLI::App* app_;
};

// A command ends the program with an exit status of its own: its answer is "no", or a signal has
// asked for the end.
struct ExitStatus {
  int status;
};

}  // namespace hrm

// Long work on the terminal: one line with a bar, a rate and the time left; plain lines every few
// seconds when the output is no terminal.
//
//     Progress bar("train", "steps", 1000);
//     bar.update(10, "loss 0.41");
//     bar.finish();
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

#include "hrm/support/clock.h"

namespace hrm {

// "3 min 12 s", "1.2 GiB", "110,000".
std::string format_duration(double seconds);
std::string format_bytes(double bytes);
std::string format_count(int64_t n);

// Whether `stream` shows colours and accepts a line that is redrawn (a terminal, TERM not dumb).
bool is_terminal(std::FILE* stream);
// is_terminal and NO_COLOR unset.
bool use_colour(std::FILE* stream);

// Characters in a line of `stream`: what COLUMNS says, else the width of the terminal, else
// `otherwise`.
int terminal_width(std::FILE* stream, int otherwise);

using ProgressCallback = std::function<void(int64_t done, int64_t total)>;

class Progress {
 public:
  // `unit` names what is counted ("puzzles", "samples"). `done` starts above 0 when work is
  // resumed. Without a total the bar appears when callback() is first called with one.
  Progress(std::string title, std::string unit, int64_t total = 0, int64_t done = 0,
           std::FILE* stream = stderr);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Redraws at most ten times a second; prints a plain line at most every `interval` seconds.
  // `fields` is free text such as "loss 0.41  exact 87.5 %".
  void update(int64_t done, const std::string& fields = "");
  // For work that says how much of how much is done. Not to be called after the bar is gone.
  std::function<void(int64_t done, int64_t total)> callback();
  // Prints a line of its own above the bar.
  void message(const std::string& text);
  // The last line stays; nothing is drawn afterwards.
  void finish();

 private:
  void start();
  void draw(bool final);
  std::string line(bool bar) const;

  std::string title_, unit_, fields_;
  int64_t total_, first_, done_;
  std::FILE* stream_;
  bool terminal_, finished_ = false;
  double start_ = 0, last_drawn_ = -1e9;
};

}  // namespace hrm

#include "hrm/support/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include <fmt/core.h>

#include "hrm/support/clock.h"

namespace hrm {
namespace {

constexpr double kRedraw = 0.1;    // seconds between two drawings of a bar
constexpr double kPlainLine = 10;  // seconds between two plain lines
constexpr int kBarWidth = 24;

// With one digit behind the point where that tells something.
std::string short_number(double value, bool digit) {
  return digit ? fmt::format("{:.1f}", value) : fmt::format("{:.0f}", value);
}

// A stream that takes no more is no reason to stop the work: fmt::print would throw.
void write(std::FILE* stream, const std::string& text) {
  std::fputs(text.c_str(), stream);
  std::fflush(stream);
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto s = static_cast<int64_t>(std::llround(seconds));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

std::string format_bytes(double bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int u = 0;
  for (; bytes >= 1024 && u < 4; ++u) bytes /= 1024;
  return short_number(bytes, u > 0 && bytes < 100) + " " + units[u];
}

std::string format_count(int64_t n) {
  std::string digits = std::to_string(n < 0 ? -n : n);
  for (auto at = std::ssize(digits) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return (n < 0 ? "-" : "") + digits;
}

int terminal_width(std::FILE* stream, int otherwise) {
  if (const char* columns = std::getenv("COLUMNS")) {
    int width = 0;
    const auto [rest, error] = std::from_chars(columns, columns + std::strlen(columns), width);
    if (error == std::errc() && *rest == 0 && width > 0) return width;
  }
  struct winsize size = {};
  const bool known = ::ioctl(::fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : otherwise;
}

bool is_terminal(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  return ::isatty(::fileno(stream)) && term && std::strcmp(term, "dumb") != 0;
}

bool use_colour(std::FILE* stream) {
  const char* no_color = std::getenv("NO_COLOR");
  return is_terminal(stream) && !(no_color && *no_color);
}

Progress::Progress(std::string title, std::string unit, int64_t total, int64_t done,
                   std::FILE* stream)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      first_(done),
      done_(done),
      stream_(stream),
      terminal_(is_terminal(stream)) {
  start();
}

void Progress::start() {
  start_ = seconds_now();
  if (!terminal_) last_drawn_ = start_ - kPlainLine + 1;  // the first plain line after a second
}

Progress::~Progress() { finish(); }

std::string Progress::line(bool bar) const {
  const double elapsed = seconds_now() - start_;
  const double share = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 0;
  const double rate = static_cast<double>(done_ - first_) / std::max(elapsed, 1e-9);
  std::string text = title_;
  if (bar) {
    const int full = static_cast<int>(std::clamp(share, 0.0, 1.0) * kBarWidth);
    text += " [";
    for (int i = 0; i < kBarWidth; ++i) text += i < full ? "=" : (i == full ? ">" : " ");
    text += "]";
  }
  text += fmt::format(" {:>3.0f} %  ", share * 100);
  if (!fields_.empty()) text += fields_ + "  ";
  text += short_number(rate, rate < 10) + " " + unit_ + "/s";
  if (done_ < total_)
    text += "  " + (rate > 0 ? format_duration(static_cast<double>(total_ - done_) / rate) : "?") +
            " left";
  else
    text += "  " + format_duration(elapsed);
  return text;
}

void Progress::draw(bool final) {
  if (terminal_)
    write(stream_, "\r\033[K" + line(true) + (final ? "\n" : ""));
  else
    write(stream_, line(false) + "\n");
  last_drawn_ = seconds_now();
}

void Progress::update(int64_t done, const std::string& fields) {
  if (finished_) return;
  done_ = done;
  if (!fields.empty()) fields_ = fields;
  if (seconds_now() - last_drawn_ >= (terminal_ ? kRedraw : kPlainLine)) draw(false);
}

std::function<void(int64_t, int64_t)> Progress::callback() {
  return [this](int64_t done, int64_t total) {
    if (total_ == 0) start();
    total_ = total;
    update(done);
  };
}

void Progress::message(const std::string& text) {
  write(stream_, (terminal_ ? "\r\033[K" : "") + text + "\n");
  last_drawn_ = terminal_ ? -1e9 : last_drawn_;
}

void Progress::finish() {
  if (finished_ || total_ == 0) return;
  draw(true);
  finished_ = true;
}

}  // namespace hrm

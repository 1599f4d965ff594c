#include "tests/torture/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace hrm::torture {
namespace {

constexpr double kPoll = 0.001;  // seconds
constexpr int kCannotStart = 125;

// Words that only the message of a library has, or the last resort of ours: neither says what is
// wrong with which file.
constexpr std::array kLibraryWords = {"json.exception",
                                      "stod",
                                      "stoi",
                                      "stol",
                                      "stof",
                                      "stoul",
                                      "filesystem error",
                                      "std::",
                                      "basic_string",
                                      "vector::",
                                      "map::at",
                                      "bad_alloc",
                                      "bad_cast",
                                      "bad_optional",
                                      "terminate called",
                                      "regex_error",
                                      "internal error",
                                      "a file that was read"};

int anonymous_file(const char* name) {
  const int file = ::memfd_create(name, MFD_CLOEXEC);
  if (file < 0) throw std::runtime_error("cannot make an anonymous file");
  return file;
}

std::string all_of(int file) {
  std::string text(static_cast<size_t>(::lseek(file, 0, SEEK_END)), '\0');
  size_t got = 0;
  while (got < text.size()) {
    const ssize_t n = ::pread(file, text.data() + got, text.size() - got, static_cast<off_t>(got));
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  return text;
}

template <class Resource>
void set_limit(Resource resource, size_t soft, size_t hard) {
  const rlimit limit = {soft, hard};
  ::setrlimit(resource, &limit);
}

// In the child, between fork and exec.
[[noreturn]] void become_program(char* const* arguments, int in, int out, int err, bool traced) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  set_limit(RLIMIT_CORE, 0, 0);
  set_limit(RLIMIT_CPU, launch.work_limit, launch.work_limit + 5);
  if (launch.memory_limit > 0) set_limit(RLIMIT_AS, launch.memory_limit, launch.memory_limit);
  ::alarm(launch.time_limit);
  if (traced && ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(kCannotStart);
  ::execv(arguments[0], arguments);
  ::_exit(kCannotStart);
}

// Lines of the form that the program's errors have.
int64_t count_error_lines(const std::string& text) {
  int64_t count = text.starts_with("hrm: ") ? 1 : 0;
  for (size_t at = text.find("\nhrm: "); at != std::string::npos; at = text.find("\nhrm: ", at + 1))
    ++count;
  return count;
}

bool has_control_character(const std::string& text) {
  return std::ranges::any_of(text, [](unsigned char c) {
    return c == 0x7f || (c < 0x20 && c != '\n' && c != '\t' && c != '\r');
  });
}

}  // namespace

Launch launch;

std::string Result::last_line() const {
  const size_t end = err.find_last_not_of('\n');
  if (end == std::string::npos) return "";
  const size_t begin = err.find_last_of("\n\r", end);
  return err.substr(begin + 1, end - begin);
}

std::string Result::describe() const {
  const std::string how = signal != 0 ? std::string("ended by ") + ::strsignal(signal)
                                      : "status " + std::to_string(status);
  return how + ": " + last_line();
}

std::string misbehaviour(const Result& result) {
  constexpr size_t kLongestLine = 2000;
  if (result.signal == SIGXCPU)
    return "still computed after " + std::to_string(launch.work_limit) + " s of work";
  if (result.signal == SIGALRM)
    return "still waited after " + std::to_string(launch.time_limit) + " s";
  if (result.signal != 0) return std::string("ended by ") + ::strsignal(result.signal);
  if (result.status >= 125) return "exit status " + std::to_string(result.status);
  if (has_control_character(result.out) || has_control_character(result.err))
    return "prints control characters";
  if (result.status == 0) return "";
  const std::string line = result.last_line();
  for (const char* word : kLibraryWords)
    if (line.find(word) != std::string::npos) return "a bare message of a library: " + line;
  // `hrm audit` and `hrm solve` answer by their status; the answer is on standard output.
  if (result.err.empty() && !result.out.empty()) return "";
  if (!line.starts_with("hrm: ")) return "failed without a line that says why: " + line;
  if (count_error_lines(result.err) != 1) return "several lines of error: " + line;
  if (line.size() > kLongestLine)
    return "an error line of " + std::to_string(line.size()) + " characters";
  return "";
}

Process::Process(const Words& arguments, const Path& standard_out, bool traced) {
  const std::string program = launch.program.string();
  std::vector<char*> pointers = {const_cast<char*>(program.c_str())};
  for (const std::string& word : arguments) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  out_ = standard_out.empty() ? anonymous_file("out")
                              : ::open(standard_out.c_str(), O_WRONLY | O_CLOEXEC);
  err_ = anonymous_file("err");
  const int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  pid_ = ::fork();
  if (pid_ == 0) become_program(pointers.data(), in, out_, err_, traced);
  ::close(in);
  if (pid_ < 0) throw std::runtime_error("cannot start a process");
  if (!standard_out.empty()) {
    ::close(out_);
    out_ = -1;
  }
}

Process::~Process() {
  if (running()) {
    send(SIGKILL);
    wait();
  }
  if (out_ >= 0) ::close(out_);
  ::close(err_);
}

bool Process::running() {
  if (running_ && ::waitpid(pid_, &wait_status_, WNOHANG) == pid_) running_ = false;
  return running_;
}

bool Process::running_after(double seconds) {
  const double end = now() + seconds;
  while (running() && now() < end) sleep_for(std::clamp(end - now(), 0.0, kPoll));
  return running_;
}

void Process::send(int signal) {
  if (running_) ::kill(pid_, signal);
}

Result Process::wait() {
  while (running_) {
    if (::waitpid(pid_, &wait_status_, 0) == pid_) running_ = false;
  }
  return collect(wait_status_);
}

Result Process::ended_with(int wait_status) {
  running_ = false;
  wait_status_ = wait_status;
  return collect(wait_status);
}

Result Process::collect(int wait_status) {
  Result result;
  if (WIFSIGNALED(wait_status))
    result.signal = WTERMSIG(wait_status);
  else
    result.status = WEXITSTATUS(wait_status);
  if (out_ >= 0) result.out = all_of(out_);
  result.err = all_of(err_);
  return result;
}

Result run(const Words& arguments, const Path& standard_out) {
  return Process(arguments, standard_out).wait();
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void sleep_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

std::string joined(const Words& words) {
  std::string text = "hrm";
  for (const std::string& word : words) {
    const bool plain = !word.empty() && word.find_first_of(" '\"$&|;<>*?()\n") == std::string::npos;
    text += plain ? " " + word : " '" + word + "'";
  }
  return text;
}

}  // namespace hrm::torture

#include "tests/torture/tracer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

constexpr int kNone = -1;  // the call has no argument of this kind
constexpr int kSystemCallStop = SIGTRAP | 0x80;

// Where the arguments of a system call say which file it is about.
struct Watched {
  long number;
  const char* name;
  int folder;  // file descriptor of the folder that a path starts from
  int path;
  int file;  // file descriptor
};

// Old calls without a folder do not exist on every machine.
constexpr Watched kWatched[] = {
#ifdef SYS_rename
    {SYS_rename, "rename", kNone, 0, kNone},
#endif
#ifdef SYS_renameat
    {SYS_renameat, "rename", 0, 1, kNone},
#endif
    {SYS_renameat2, "rename", 0, 1, kNone},
#ifdef SYS_unlink
    {SYS_unlink, "unlink", kNone, 0, kNone},
#endif
    {SYS_unlinkat, "unlink", 0, 1, kNone},
#ifdef SYS_rmdir
    {SYS_rmdir, "rmdir", kNone, 0, kNone},
#endif
#ifdef SYS_mkdir
    {SYS_mkdir, "mkdir", kNone, 0, kNone},
#endif
    {SYS_mkdirat, "mkdir", 0, 1, kNone},
    {SYS_fsync, "fsync", kNone, kNone, 0},
    {SYS_fdatasync, "fsync", kNone, kNone, 0},
    {SYS_truncate, "ftruncate", kNone, 0, kNone},
    {SYS_ftruncate, "ftruncate", kNone, kNone, 0},
#ifdef SYS_open
    {SYS_open, "open", kNone, 0, kNone},
#endif
    {SYS_openat, "open", 0, 1, kNone},
    {SYS_write, "write", kNone, kNone, 0},
    {SYS_pwrite64, "write", kNone, kNone, 0},
    {SYS_writev, "write", kNone, kNone, 0},
};

// A text in the memory of the stopped process.
std::string text_at(pid_t process, uint64_t address) {
  std::string text;
  while (text.size() < 4096) {
    errno = 0;
    const long word = ::ptrace(PTRACE_PEEKDATA, process, address + text.size(), nullptr);
    if (errno != 0) break;
    char bytes[sizeof word];
    std::memcpy(bytes, &word, sizeof word);
    const size_t length = ::strnlen(bytes, sizeof bytes);
    text.append(bytes, length);
    if (length < sizeof bytes) break;
  }
  return text;
}

Path path_of_descriptor(pid_t process, int descriptor) {
  std::error_code none;
  return fs::read_symlink("/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor),
                          none);
}

Path path_of(pid_t process, const Watched& call, const __ptrace_syscall_info& info) {
  const auto argument = [&](int i) { return static_cast<uint64_t>(info.entry.args[i]); };
  if (call.file != kNone) return path_of_descriptor(process, static_cast<int>(argument(call.file)));
  const Path path = text_at(process, argument(call.path));
  if (path.is_absolute()) return path.lexically_normal();
  const int folder = call.folder == kNone ? AT_FDCWD : static_cast<int>(argument(call.folder));
  std::error_code none;
  const Path base = folder == AT_FDCWD
                        ? fs::read_symlink("/proc/" + std::to_string(process) + "/cwd", none)
                        : path_of_descriptor(process, folder);
  return (base / path).lexically_normal();
}

bool is_inside(const Path& path, const Path& folder) {
  const Path rest = path.lexically_relative(folder);
  return !rest.empty() && *rest.begin() != "..";
}

// The call that the stopped process is about to make, if it concerns the folder.
bool next_call(pid_t process, const Path& folder, SystemCall* found) {
  __ptrace_syscall_info info{};
  const long size = ::ptrace(PTRACE_GET_SYSCALL_INFO, process, sizeof info, &info);
  if (size <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY) return false;
  for (const Watched& call : kWatched) {
    if (static_cast<uint64_t>(call.number) != info.entry.nr) continue;
    *found = {call.name, path_of(process, call, info)};
    if (info.entry.nr == SYS_unlinkat && (info.entry.args[2] & AT_REMOVEDIR)) found->name = "rmdir";
    return is_inside(found->path, folder);
  }
  return false;
}

}  // namespace

Trace trace(const Words& arguments, const Path& folder, int64_t kill_at) {
  const Path absolute = fs::absolute(folder).lexically_normal();
  Trace trace;
  Process process(arguments, {}, true);
  int status = 0;
  bool first = true;
  while (::waitpid(process.pid(), &status, 0) == process.pid() && WIFSTOPPED(status)) {
    int signal = WSTOPSIG(status);
    if (first) {  // the stop at exec
      ::ptrace(PTRACE_SETOPTIONS, process.pid(), nullptr,
               PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
      first = false;
      signal = 0;
    } else if (signal == kSystemCallStop) {
      SystemCall call;
      if (next_call(process.pid(), absolute, &call)) {
        trace.killed = std::ssize(trace.calls) == kill_at;
        trace.calls.push_back(call);
        if (trace.killed) process.send(SIGKILL);
      }
      signal = 0;
    }
    ::ptrace(PTRACE_SYSCALL, process.pid(), nullptr, signal);
  }
  trace.result = process.ended_with(status);
  return trace;
}

std::string why_no_tracing() {
  const Trace probe = trace({"--version"}, "/", kNever);
  if (!probe.result.succeeded())
    return "no process may be traced here (" + probe.result.describe() + ")";
  if (probe.calls.empty()) return "this kernel does not say which system calls a process makes";
  return "";
}

}  // namespace hrm::torture

// Watches the system calls by which the program changes a folder, and kills it at one of them.
#pragma once

#include "tests/torture/process.h"

namespace hrm::torture {

struct SystemCall {
  std::string name;  // rename, unlink, rmdir, mkdir, fsync, ftruncate, open or write
  Path path;         // absolute: what it is about
};

struct Trace {
  std::vector<SystemCall> calls;  // in their order
  bool killed = false;
  Result result;
};

constexpr int64_t kNever = -1;
// Runs the program and lists the system calls of its main thread that concern `folder`. Just before
// the one with the number `kill_at` (of this list) it is killed.
Trace trace(const Words& arguments, const Path& folder, int64_t kill_at);

// Why no process can be traced here, or "".
std::string why_no_tracing();

}  // namespace hrm::torture

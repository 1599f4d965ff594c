// One process at a time works in a folder.
//
//     const FolderLock lock("runs/mine");   // held until it goes out of scope
#pragma once

#include <functional>

#include "tensor/io.h"

namespace hrm {

// Holds a folder from construction to destruction, or until the process ends, however it ends; a
// program that the process starts does not hold it. The lock is the kernel's (flock) on the file
// FOLDER/lock, which says who holds it ("PID HOST") and stays. The folder is made if need be.
class FolderLock {
 public:
  // Where another process, or another FolderLock of this one, holds the folder, `keep_waiting` is
  // asked several times a second whether to go on waiting; without it the constructor waits for a
  // second. Throws one line that names the holder when it gives up.
  explicit FolderLock(const Path& folder, const std::function<bool()>& keep_waiting = nullptr);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_;
};

// The folder FOLDER/BELOW for a lock: an Error if a part of BELOW is a symbolic link. Whoever sends
// FOLDER could let us write elsewhere.
Path lock_folder(const Path& folder, const Path& below);

}  // namespace hrm

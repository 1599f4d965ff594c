// Who writes in the folder of a run. What lies in it is in run_files.h.
//
//     RunFolder folder("runs/mine");   // made if it is not there
//     if (!folder.has_run()) write_file_atomically(folder.path() / "config.json", text);
#pragma once

#include <optional>
#include <vector>

#include "hrm/support/folder_lock.h"

namespace hrm {

// Holds a run folder: one process at a time (FolderLock), none of what a killed one left half
// written, no links that lead out of it. Writing config.json makes it a run.
//
// A start that fails leaves nothing behind: what the constructor made is removed again unless the
// folder has become a run.
class RunFolder {
 public:
  // Throws one line if another process holds the folder, or if a part of it is a link.
  explicit RunFolder(const Path& path);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const Path& path() const { return path_; }
  // Whether it holds a run already, that is, a config.json.
  bool has_run() const;
  // Forgets a run that came to nothing: removes config.json, metrics.jsonl, the checkpoints and, if
  // this object made it, the folder itself.
  void discard();

 private:
  void remove_empty_folders();

  Path path_;
  std::vector<Path> made_;  // folders, outermost first
  bool lock_made_ = false;
  std::optional<FolderLock> lock_;
};

}  // namespace hrm

// The folder of a run: who writes in it, and what lies where.
#pragma once

#include <optional>
#include <vector>

#include "hrm/config.h"
#include "hrm/support/folder_lock.h"
#include "hrm/train/checkpoint.h"

namespace hrm {

// Holds a run folder: one process at a time (FolderLock), none of what a killed one left half
// written, no links that lead out of it.
//
//     RunFolder folder("runs/mine");  // made if it is not there
//     if (!folder.has_run()) ...      // write config.json, which makes it a run
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

// config.json of a run.
Config read_config(const Path& run);

// RUN/checkpoints/step_*, oldest first: the folders with exactly such a name.
std::vector<Path> list_checkpoints(const Path& run);
Path checkpoint_path(const Path& run, int64_t step);
// The step in the name of one of them.
int64_t step_of_checkpoint(const Path& folder);
// Deletes those before the newest `keep` of a training that is at `step`. Later ones, which a
// resumed run has passed over because they are damaged, do not count.
void prune_checkpoints(const Path& run, int64_t keep, int64_t step);
// Removes what an interrupted run left half-written, and brings back a checkpoint whose exchange
// was cut off. Files and folders with other names than the program gives stay.
void remove_temporaries(const Path& run);

}  // namespace hrm

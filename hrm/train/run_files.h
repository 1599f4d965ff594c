// The files of a run folder, and nothing else about them: config.json, metrics.jsonl,
// evaluation.json, checkpoints/step_* and best/. RunFolder (run_folder.h) holds the folder while
// they are written.
//
//     const RunFiles files("runs/mine");
//     files.append_metrics({{"step", 1}, {"loss", 0.5}});
//     files.save(checkpoint, 100, 2);   // checkpoints/step_00000100, and the one before it
#pragma once

#include <string>
#include <vector>

#include "hrm/config.h"
#include "hrm/train/checkpoint.h"

namespace hrm {

class RunFiles {
 public:
  explicit RunFiles(Path run) : run_(std::move(run)) {}

  const Path& path() const { return run_; }
  Path best() const { return run_ / "best"; }

  // A line behind the others; the bytes of all lines so far; all but the first so many are cut off.
  void append_metrics(const Json& line) const;
  int64_t metrics_bytes() const;
  void cut_metrics(int64_t bytes) const;

  // Writes checkpoints/step_N and deletes those before the newest `keep`. Returns its folder.
  Path save(const Checkpoint& checkpoint, int64_t step, int64_t keep) const;
  void save_best(const Checkpoint& weights) const { write_checkpoint(best(), weights); }
  void write_evaluation(const Json& result) const;

  struct Newest {
    Path folder;
    Checkpoint checkpoint;
    std::vector<std::string> damaged;  // a line for each newer checkpoint that was passed over
  };
  // The newest checkpoint that is whole; an Error if there is none.
  Newest newest_checkpoint() const;

 private:
  Path run_;
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

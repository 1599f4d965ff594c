// Checkpoints: everything a run is. A folder `step_00001200` holds
//   model.safetensors     weights and buffers under their official names ("model.inner....")
//   training.safetensors  optimizer moments, averaged weights, carry
//   state.json            step, random positions, data cursor, best score, what data set it is;
//                         checksums of the other two and of itself
// It is written beside and renamed, so a folder with that name is always complete.
#pragma once

#include "hrm/config.h"
#include "tensor/io.h"

namespace hrm {

struct Checkpoint {
  NamedTensors model, training;
  Json state;
  // Hashes of the names of the puzzle table's rows (PuzzleDataset::puzzle_names), so that a data
  // set built anew finds its rows. May be empty.
  std::vector<uint64_t> puzzle_names;
};

// The rows of `wanted` names out of a table with rows named `saved`; the mean row where a name is
// not found. `*found` counts those that are.
Tensor match_puzzle_rows(const Tensor& table, const std::vector<uint64_t>& saved,
                         const std::vector<uint64_t>& wanted, int64_t* found);

// Writes the folder. One that is there already is exchanged for the new one at once: whenever the
// program ends, the folder is the old checkpoint or the new one.
void write_checkpoint(const Path& folder, const Checkpoint& checkpoint);
// Replaces the state alone; the checksums of the tensors stay.
void write_checkpoint_state(const Path& folder, const Json& state);
// A checkpoint of another version of the program: whole, but not to be read.
class OtherFormat : public Error {
 public:
  using Error::Error;
};

// Verifies the checksums. One that is exchanged meanwhile is read anew. With `weights_only` the
// training tensors are left out.
Checkpoint read_checkpoint(const Path& folder, bool weights_only = false);

// RUN/checkpoints/step_*, oldest first: the folders with exactly such a name.
std::vector<Path> list_checkpoints(const Path& run);
Path checkpoint_path(const Path& run, int64_t step);
// Deletes those before the newest `keep` of a training that is at `step`. Later ones, which a
// resumed run has passed over because they are damaged, do not count.
void prune_checkpoints(const Path& run, int64_t keep, int64_t step);
// Removes what an interrupted run left half-written, and brings back a checkpoint whose exchange
// was cut off. Files and folders with other names than the program gives stay.
void remove_temporaries(const Path& run);

// Weights of an official checkpoint under our names: drops "_orig_mod." (torch.compile) anywhere in
// a name, and checks that the names start with "model.inner.".
NamedTensors from_official(const NamedTensors& tensors);

// config.json of a run.
Config read_config(const Path& run);

}  // namespace hrm

// Checkpoints: everything a run is. A folder `step_00001200` holds
//   model.safetensors     weights and buffers under their official names ("model.inner....")
//   training.safetensors  optimizer moments, averaged weights, carry
//   state.json            step, random positions, data cursor, best score, checksums of the others
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

void write_checkpoint(const Path& folder, const Checkpoint& checkpoint);
// Verifies the checksums. With `weights_only` the training tensors are left out.
Checkpoint read_checkpoint(const Path& folder, bool weights_only = false);

// RUN/checkpoints/step_*, oldest first.
std::vector<Path> list_checkpoints(const Path& run);
Path checkpoint_path(const Path& run, int64_t step);
// Deletes all but the newest `keep`.
void prune_checkpoints(const Path& run, int64_t keep);
// Removes what an interrupted run left half-written ("*.tmp").
void remove_temporaries(const Path& run);

// Weights of an official checkpoint under our names: drops "_orig_mod." (torch.compile) anywhere in
// a name, and checks that the names start with "model.inner.".
NamedTensors from_official(const NamedTensors& tensors);

// config.json of a run.
Config read_config(const Path& run);
// Parses a JSON file; errors name the file, what is wrong and where.
Json read_json(const Path& path);

}  // namespace hrm

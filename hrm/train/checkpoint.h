// Checkpoints: everything a run is. A folder `step_00001200` holds
//   model.safetensors     weights and buffers under their official names ("model.inner....")
//   training.safetensors  optimizer moments, averaged weights, carry, sums for the metrics
//   state.json            step, random positions, data cursor, best score, what data set it is;
//                         checksums of the other two and of itself
// It is written beside and renamed, so a folder with that name is always complete.
//
//     const Checkpoint checkpoint = read_checkpoint("runs/mine/checkpoints/step_00001200");
//     model.load_state_dict(checkpoint.model, kOfficialPrefix);   // hrm/model/model.h
#pragma once

#include <nlohmann/json.hpp>

#include "hrm/config.h"
#include "tensor/io.h"

namespace hrm {

// What a folder is called while it is written, and while it is replaced on a file system that
// cannot exchange two folders at once.
inline constexpr const char* kTemporaryFolder = ".tmp";
inline constexpr const char* kOldFolder = ".old";

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

// Fills `tensor` with the saved one of that name; an Error unless it has the same shape and type.
void load_saved(const NamedTensors& saved, const std::string& name, Tensor& tensor);

// Verifies the checksums. One that is exchanged meanwhile is read anew. With `weights_only` the
// training tensors are left out.
Checkpoint read_checkpoint(const Path& folder, bool weights_only = false);

// Weights of an official checkpoint under our names: drops "_orig_mod." (torch.compile) anywhere in
// a name, and checks that the names start with "model.inner.".
NamedTensors from_official(const NamedTensors& tensors);

}  // namespace hrm

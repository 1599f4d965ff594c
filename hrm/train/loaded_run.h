// The model of a run, read from its folder, or a model in one file.
//
//     const LoadedRun run = load_run("runs/mine", "best");
//     evaluate(*run.model, test, {});   // hrm/eval/evaluate.h
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hrm/config.h"
#include "hrm/data/task.h"
#include "hrm/lattice/lattice_model.h"
#include "hrm/model/model.h"

namespace hrm {

// A model, ready to evaluate.
struct LoadedRun {
  Config config;
  Path weights;          // the checkpoint folder, or the file, that the weights came from
  std::string checksum;  // of the weights, as its state.json holds it
  std::shared_ptr<const Task> task;  // what its puzzles are
  // One of the two, by the kind of refinement.
  std::unique_ptr<Model> model;
  std::unique_ptr<LatticeModel> lattice;
  int64_t step = 0;
  std::vector<uint64_t> puzzle_names;  // of the rows of its puzzle table

  Module& module() const { return lattice ? static_cast<Module&>(*lattice) : *model; }
};
// `run`: a run folder, or a model in one file. `which` is best, last, or a checkpoint: a folder, or
// the name of one in RUN/checkpoints; empty: best if there is one.
LoadedRun load_any_run(const Path& run, const std::string& which, Device device = Device::cpu);
// The same for commands that read segments: an Error for a run of another refinement.
LoadedRun load_run(const Path& run, const std::string& which, Device device = Device::cpu);

// A model in one file is a safetensors file with the text of a config.json in its metadata, and the
// training step of its weights, under these names. The rows of its puzzle table have no names
// there.
inline constexpr const char* kConfigMetadata = "hrm.config";
inline constexpr const char* kStepMetadata = "hrm.step";
std::map<std::string, std::string> model_metadata(const Config& config, const Task& task,
                                                  int64_t step);
// `name`: of the file, for errors. `config`: the text of another config.json; empty: the file's
// own.
LoadedRun load_model(const Safetensors& file, const std::string& name,
                     const std::string& config = {}, Device device = Device::cpu);
// The settings in a run folder or a model file, and what its puzzles are; unknown_task() if nothing
// is there.
Config config_in(const Path& run);
std::shared_ptr<const Task> task_in(const Path& run);
// A weight that is not finite makes every answer meaningless: an Error that names the file, the
// tensor and the element, with a hint.
void check_finite(const NamedTensors& tensors, const std::string& file, const char* hint);

}  // namespace hrm

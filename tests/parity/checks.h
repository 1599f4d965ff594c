// The checks of the parity program, a source for each family of fixtures, and what they share.
#pragma once

#include <map>
#include <string>

#include "hrm/model/segment.h"
#include "tests/support/ledger.h"

namespace hrm::parity {

// The device that everything runs on. main() sets it once.
extern Device device;

using TensorMap = std::map<std::string, Tensor>;

// The tensors of a .safetensors file, by name on the device, or as they lie in the file.
TensorMap load(const Path& path);
NamedTensors load_named(const Path& path);

// The recorded batch of a step or a segment.
Batch batch_of(const TensorMap& step);

// The configuration that a fixture describes in the official names. Families: hrm, trm, baseline.
ModelConfig model_config(const Json& model, const std::string& family, const std::string& loss);

// Compares the tables of rotary encoding, where a fixture holds them.
void check_rope_tables(Ledger& ledger, const Path& folder, const ModelConfig& config);

// Compares the outputs of the modules in the first training step, for the first rows of its batch
// and in order of execution, where a fixture holds them.
void check_trace(Ledger& ledger, const Path& folder, const Model& model, const Batch& batch,
                 double tolerance);

// The check of each family takes a fixture's folder and its config.json.
void check_ops(Ledger& ledger, const Path& folder, const Json& config);
void check_training(Ledger& ledger, const Path& folder, const Json& config);
void check_evaluation(Ledger& ledger, const Path& folder, const Json& config);
void check_gradients(Ledger& ledger, const Path& folder, const Json& config);
void check_init(Ledger& ledger, const Path& folder, const Json& config);
void check_arc_pipeline(Ledger& ledger, const Path& folder, const Json& config);
void check_compressarc(Ledger& ledger, const Path& folder, const Json& config);

}  // namespace hrm::parity

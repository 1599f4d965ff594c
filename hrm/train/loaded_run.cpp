#include "hrm/train/loaded_run.h"

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "hrm/lattice/candidates.h"
#include "hrm/support/text.h"
#include "hrm/tasks/registry.h"
#include "hrm/train/run_files.h"
#include "tensor/pytorch_file.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

// The folder of a checkpoint, as a user names it: a path, or the name of one of the run's own.
Path checkpoint_named(const Path& run, const std::string& name) {
  const Path checkpoints = run / "checkpoints";
  for (const Path& folder : {Path(name), checkpoints / name})
    if (fs::is_directory(folder)) return folder;
  detail::fail("[run] there is no checkpoint ", name, ". HINT: --checkpoint best, last, or one of ",
               checkpoints.string());
}

template <class T>
void check_finite_values(const std::string& file, const std::string& name, const Tensor& tensor,
                         const char* hint) {
  const T* values = tensor.data<T>();
  for (int64_t i = 0; i < tensor.numel(); ++i)
    HRM_CHECK(std::isfinite(static_cast<double>(values[i])), "[weights] ", file, ": '", name,
              "' must hold finite numbers, got ", static_cast<double>(values[i]), " at element ", i,
              ". HINT: ", hint);
}

}  // namespace

void check_finite(const NamedTensors& tensors, const std::string& file, const char* hint) {
  for (const auto& [name, tensor] : tensors) {
    const Tensor dense = tensor.contiguous();
    if (dense.dtype() == DType::f32) check_finite_values<float>(file, name, dense, hint);
    if (dense.dtype() == DType::f64) check_finite_values<double>(file, name, dense, hint);
    if (dense.dtype() == DType::bf16) check_finite_values<bfloat16>(file, name, dense, hint);
  }
}

namespace {

// An Error for weights of another size than the settings say: before memory is taken for a model
// that nobody has trained.
void check_size(const ModelConfig& m, const NamedTensors& weights, const std::string& place) {
  const std::string prefix = kOfficialPrefix;
  // Tables whose rows no layer bounds.
  const auto table = [&](const char* name, bool used, int64_t rows, int64_t columns) {
    const Tensor* weight = find(weights, prefix + name);
    HRM_CHECK(!used || (weight && weight->shape() == Shape({rows, columns})), "[run] ", place,
              ": the settings want '", prefix, name, "' of shape (", rows, ", ", columns,
              "), and the weights have none. HINT: is the config.json that of another run?");
  };
  table("puzzle_emb.weights", m.puzzle_emb_ndim > 0 && m.conditioning != Conditioning::context,
        m.num_puzzle_identifiers, m.puzzle_emb_ndim);
  table("embed_pos.embedding_weight", has_learned_positions(m.pos_encodings),
        m.prefix() + m.seq_len, m.hidden_size);
  const Tensor* tokens = find(weights, prefix + "embed_tokens.embedding_weight");
  HRM_CHECK(tokens && tokens->shape() == Shape({m.vocab_size, m.hidden_size}), "[run] ", place,
            ": the weights are not of a model with vocab_size ", m.vocab_size, " and hidden_size ",
            m.hidden_size, ". HINT: is the config.json that of another run?");
  const auto layers = [&](const char* level, int64_t count) {
    const std::string last = prefix + level + ".layers." + std::to_string(count - 1);
    HRM_CHECK(count == 0 || find(weights, last + ".mlp.down_proj.weight"), "[run] ", place,
              ": the weights have fewer layers than the settings say, which is ", count, " in ",
              level, ". HINT: is the config.json that of another run?");
  };
  layers("H_level", m.levels == Levels::shared ? 0 : m.H_layers);
  layers("L_level", m.levels == Levels::single ? 0 : m.L_layers);
}

// The network that a configuration describes, with these weights. `place`: where they come from.
void build(LoadedRun& loaded, const NamedTensors& weights, const std::string& place,
           Device device) {
  check_finite(weights, place, "the training diverged; an earlier checkpoint may be whole");
  const ModelConfig& m = loaded.config.model;
  if (!loaded.config.is_lattice()) check_size(m, weights, place);
  if (loaded.config.is_lattice())
    loaded.lattice = std::make_unique<LatticeModel>(
        loaded.config, Domain::of(*loaded.task, m.seq_len, m.vocab_size).channels, nullptr, device);
  else
    loaded.model = std::make_unique<Model>(m, nullptr, device);
  try {
    loaded.module().load_state_dict(weights, kOfficialPrefix);
  } catch (const Error& error) {
    throw with_place(error, place);
  }
}

// The folder of the weights that `which` names.
Path checkpoint_of(const Path& run, const std::string& which) {
  const bool has_best = fs::exists(run / "best");
  if (which == "best" || (which.empty() && has_best)) {
    HRM_CHECK(has_best, "[run] ", run.string(),
              " has no best checkpoint yet. HINT: --checkpoint last");
    return run / "best";
  }
  if (which != "last" && !which.empty()) return checkpoint_named(run, which);
  const std::vector<Path> steps = list_checkpoints(run);
  HRM_CHECK(!steps.empty(), "[run] ", run.string(), " has no checkpoint. HINT: train it first");
  return steps.back();
}

// A model in one file, or a line that says what to do with a checkpoint of PyTorch.
Safetensors read_model_file(const Path& file) {
  HRM_CHECK(!is_pytorch_file(file), "[run] ", file.string(),
            " is a file of PyTorch, which holds no settings. HINT: `hrm import ", file.string(),
            " --run RUN` makes a run folder of it; use RUN here");
  return read_safetensors(file);
}

// The text of the config.json in the metadata of a model file.
const std::string& config_text(const Safetensors& file, const std::string& name) {
  const auto found = file.metadata.find(kConfigMetadata);
  HRM_CHECK(found != file.metadata.end(), "[run] ", name,
            " holds weights, but not the settings of their model. HINT: `hrm import` makes a run "
            "of it; `hrm export` writes files with both");
  return found->second;
}

// The same as JSON.
Json config_json(const Path& file) {
  return parse_json(config_text(read_model_file(file), file.string()), file.string());
}

}  // namespace

std::map<std::string, std::string> model_metadata(const Config& config, const Task& task,
                                                  int64_t step) {
  Config plain = config;
  plain.data.clear();  // a folder of the machine that trained it
  Json json = plain.to_json();
  json["task"] = task.to_json();
  return {{"format", "pt"}, {kConfigMetadata, json.dump()}, {kStepMetadata, std::to_string(step)}};
}

LoadedRun load_model(const Safetensors& file, const std::string& name, const std::string& config,
                     Device device) {
  const std::string place = config.empty() ? name + ": " + kConfigMetadata : "config.json";
  const Json json = parse_json(config.empty() ? config_text(file, name) : config, place);
  LoadedRun loaded;
  loaded.config = Config::from_json(json, place);
  loaded.task = task_of_run(Members(json, place));
  loaded.weights = name;
  if (const auto step = file.metadata.find(kStepMetadata); step != file.metadata.end()) {
    const Json number = parse_json("{\"step\": " + step->second + "}", name);
    loaded.step = Members(number, name).integer("step", 0, std::numeric_limits<int64_t>::max(), 0);
  }
  build(loaded, file.tensors, name, device);
  return loaded;
}

Config config_in(const Path& run) {
  return fs::is_regular_file(run) ? Config::from_json(config_json(run), run.string())
                                  : read_config(run);
}

std::shared_ptr<const Task> task_in(const Path& run) {
  if (fs::is_regular_file(run)) {
    const Json json = config_json(run);
    return task_of_run(Members(json, run.string()));
  }
  const Path file = run / "config.json";
  if (!fs::exists(file)) return unknown_task();
  const Json json = read_json(file);
  return task_of_run(Members(json, file.string()));
}

LoadedRun load_run(const Path& run, const std::string& which, Device device) {
  LoadedRun loaded = load_any_run(run, which, device);
  HRM_CHECK(!loaded.lattice, "[run] ", run.string(),
            " holds a lattice, and this command is for models that run in segments. HINT: `hrm "
            "eval` and `hrm solve` take both");
  return loaded;
}

LoadedRun load_any_run(const Path& run, const std::string& which, Device device) {
  if (fs::is_regular_file(run)) {
    HRM_CHECK(which.empty(), "[run] ", run.string(),
              " is one model, not a run with checkpoints. HINT: leave out the checkpoint "
              "(--checkpoint)");
    LoadedRun loaded = load_model(read_model_file(run), run.string(), {}, device);
    loaded.checksum = hexadecimal(checksum(MappedFile(run).bytes()));
    return loaded;
  }
  LoadedRun loaded;
  loaded.config = read_config(run);
  loaded.task = task_in(run);
  loaded.weights = checkpoint_of(run, which);
  const Checkpoint checkpoint = read_checkpoint(loaded.weights, true);
  build(loaded, checkpoint.model, loaded.weights.string(), device);
  const Json& sums = checkpoint.state["checksums"];  // read_checkpoint has compared them
  loaded.checksum = sums.at("model.safetensors").get<std::string>();
  loaded.step = Members(checkpoint.state, (loaded.weights / "state.json").string())
                    .integer("step", 0, std::numeric_limits<int64_t>::max(), 0);
  loaded.puzzle_names = checkpoint.puzzle_names;
  return loaded;
}

}  // namespace hrm

#include "hrm/checkpoint.h"

#include <algorithm>
#include <cstdio>

#include "hrm/model.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr int kFormat = 1;
constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kTrainingFile = "training.safetensors";
constexpr const char* kStateFile = "state.json";

std::string file_checksum(const Path& path) {
  char text[32];
  std::snprintf(text, sizeof text, "%016llx",
                static_cast<unsigned long long>(checksum(MappedFile(path).bytes())));
  return text;
}

// Runs a filesystem operation and turns its exception into one of ours.
template <class Operation>
void file_operation(const char* what, const Path& path, const Operation& operation) {
  try {
    operation();
  } catch (const fs::filesystem_error& error) {
    detail::fail("[checkpoint] cannot ", what, " ", path.string(), ": ", error.code().message());
  }
}

}  // namespace

Json read_json(const Path& path) {
  const std::string text = read_file(path);
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    std::string reason = error.what();
    if (const auto at = reason.find("] "); at != std::string::npos) reason = reason.substr(at + 2);
    detail::fail("[json] ", path.string(), " is not valid JSON: ", reason);
  }
}

Config read_config(const Path& run) {
  const Path path = run / "config.json";
  CHECK(fs::exists(path), "[run] ", run.string(),
        " is not a run folder: it has no config.json. "
        "HINT: `hrm train` and `hrm demo` make run folders");
  return Config::from_json(read_json(path), path.string());
}

void write_checkpoint(const Path& folder, const Checkpoint& checkpoint) {
  const Path temporary = folder.string() + ".tmp";
  try {
    file_operation("create", temporary, [&] {
      fs::remove_all(temporary);
      fs::create_directories(temporary);
    });
    write_safetensors(temporary / kModelFile, checkpoint.model);
    write_safetensors(temporary / kTrainingFile, checkpoint.training);
    Json state = checkpoint.state;
    state["format"] = kFormat;
    for (const char* file : {kModelFile, kTrainingFile})
      state["checksums"][file] = file_checksum(temporary / file);
    write_file_atomically(temporary / kStateFile, state.dump(2) + "\n");
    file_operation("rename", temporary, [&] {
      fs::remove_all(folder);
      fs::rename(temporary, folder);
    });
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

Checkpoint read_checkpoint(const Path& folder, bool weights_only) {
  Checkpoint checkpoint;
  checkpoint.state = read_json(folder / kStateFile);
  const Json& state = checkpoint.state;
  CHECK(state.is_object() && state.value("format", 0) == kFormat, "[checkpoint] ",
        (folder / kStateFile).string(),
        " has an unknown format. HINT: was it written by another "
        "version of hrm?");
  for (const char* file : {kModelFile, kTrainingFile}) {
    if (weights_only && file == kTrainingFile) continue;
    CHECK(state.contains("checksums") && state["checksums"].contains(file) &&
              state["checksums"][file] == file_checksum(folder / file),
          "[checkpoint] ", (folder / file).string(),
          " is damaged: its checksum is wrong. HINT: delete ", folder.string(),
          " to go back to the checkpoint before it");
  }
  checkpoint.model = read_safetensors(folder / kModelFile).tensors;
  if (!weights_only) checkpoint.training = read_safetensors(folder / kTrainingFile).tensors;
  return checkpoint;
}

Path checkpoint_path(const Path& run, int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step_%08lld", static_cast<long long>(step));
  return run / "checkpoints" / name;
}

std::vector<Path> list_checkpoints(const Path& run) {
  std::vector<Path> found;
  const Path folder = run / "checkpoints";
  if (!fs::is_directory(folder)) return found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step_") && !name.ends_with(".tmp")) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void prune_checkpoints(const Path& run, int64_t keep) {
  std::vector<Path> all = list_checkpoints(run);
  for (int64_t i = 0; i + keep < static_cast<int64_t>(all.size()); ++i)
    file_operation("remove", all[i], [&] { fs::remove_all(all[i]); });
}

void remove_temporaries(const Path& run) {
  for (const Path& folder : {run, run / "checkpoints"}) {
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".tmp")
        file_operation("remove", entry.path(), [&] { fs::remove_all(entry.path()); });
  }
}

NamedTensors from_official(const NamedTensors& tensors) {
  const std::string compiled = "_orig_mod.";
  NamedTensors result;
  for (auto [name, tensor] : tensors) {
    for (size_t at; (at = name.find(compiled)) != std::string::npos;)
      name.erase(at, compiled.size());
    CHECK(name.starts_with(kOfficialPrefix), "[import] tensor names must start with '",
          kOfficialPrefix, "', got '", name, "'. HINT: is it a checkpoint of HRM or TRM?");
    result.emplace_back(name, tensor);
  }
  return result;
}

}  // namespace hrm

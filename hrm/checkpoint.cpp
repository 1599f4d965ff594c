#include "hrm/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <unordered_map>

#include "autograd/grad_mode.h"
#include "autograd/ops/reduce.h"
#include "hrm/model.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr int kFormat = 1;
constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kTrainingFile = "training.safetensors";
constexpr const char* kStateFile = "state.json";
constexpr const char* kNames = "puzzle_names";  // i32 [rows, 2] beside the weights

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
    NamedTensors model = checkpoint.model;
    if (!checkpoint.puzzle_names.empty()) {
      const int64_t rows = std::ssize(checkpoint.puzzle_names);
      model.emplace_back(kNames, empty({rows, 2}, DType::i32));
      std::memcpy(model.back().second.data(), checkpoint.puzzle_names.data(), rows * 8);
    }
    write_safetensors(temporary / kModelFile, model);
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
        " has an unknown format. HINT: was it written by another version of hrm?");
  for (const char* file : {kModelFile, kTrainingFile}) {
    if (weights_only && file == kTrainingFile) continue;
    CHECK(state.contains("checksums") && state["checksums"].contains(file) &&
              state["checksums"][file] == file_checksum(folder / file),
          "[checkpoint] ", (folder / file).string(),
          " is damaged: its checksum is wrong. HINT: delete ", folder.string(),
          " to go back to the checkpoint before it");
  }
  checkpoint.model = read_safetensors(folder / kModelFile).tensors;
  if (const Tensor* names = find(checkpoint.model, kNames)) {
    checkpoint.puzzle_names.resize(names->size(0));
    std::memcpy(checkpoint.puzzle_names.data(), names->data(), names->nbytes());
    std::erase_if(checkpoint.model, [](const auto& entry) { return entry.first == kNames; });
  }
  if (!weights_only) checkpoint.training = read_safetensors(folder / kTrainingFile).tensors;
  return checkpoint;
}

Tensor match_puzzle_rows(const Tensor& saved_table, const std::vector<uint64_t>& saved,
                         const std::vector<uint64_t>& wanted, int64_t* found) {
  const Tensor source = saved_table.to(Device::cpu).contiguous();
  const int64_t dim = source.size(1), rows = source.size(0);
  const auto bytes = static_cast<size_t>(dim) * size_of(source.dtype());
  const int64_t wanted_rows = std::ssize(wanted);
  std::unordered_map<uint64_t, int64_t> where;
  for (size_t i = 0; i < saved.size(); ++i) where.emplace(saved[i], static_cast<int64_t>(i));
  Tensor table = zeros({wanted_rows, dim}, source.dtype());
  const NoGradGuard no_grad;
  const Tensor average =
      rows > 1 ? mean(source.sliced(0, 1, rows), 0) : zeros({dim}, source.dtype());
  *found = 0;
  for (int64_t i = 0; i < wanted_rows; ++i) {
    const auto at = where.find(wanted[i]);
    const bool known = at != where.end() && at->second < rows;
    const auto* from = static_cast<const std::byte*>(known ? source.data() : average.data());
    std::memcpy(static_cast<std::byte*>(table.data()) + i * bytes,
                from + (known ? at->second * bytes : 0), bytes);
    *found += known && i > 0;  // row 0 is blank
  }
  return table;
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
  std::ranges::sort(found);
  return found;
}

void prune_checkpoints(const Path& run, int64_t keep) {
  std::vector<Path> all = list_checkpoints(run);
  for (int64_t i = 0; i + keep < std::ssize(all); ++i)
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

#include "hrm/train/checkpoint.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "autograd/grad_mode.h"
#include "autograd/ops/reduce.h"
#include "hrm/model/model.h"
#include "hrm/support/file_operation.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr int kFormat = 2;
constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kTrainingFile = "training.safetensors";
constexpr const char* kStateFile = "state.json";
constexpr const char* kNames = "puzzle_names";  // i32 [rows, 2] beside the weights

std::string file_checksum(const Path& path) {
  return hexadecimal(checksum(MappedFile(path).bytes()));
}

// Of all that state.json holds but this checksum itself. The text of a JSON value depends on
// nothing but the value, so white space in the file does not count.
std::string state_checksum(Json state) {
  state.erase("checksum");
  const std::string text = state.dump(-1, ' ', false, Json::error_handler_t::replace);
  return hexadecimal(checksum(std::as_bytes(std::span(text))));
}

void write_state(const Path& folder, Json state) {
  state["format"] = kFormat;
  state["checksum"] = state_checksum(state);
  write_file_atomically(folder / kStateFile, state.dump(2) + "\n");
}

// What to do about a damaged checkpoint, which may be `best` or one of several.
std::string advice(const Path& folder) {
  const bool best = folder.filename() == "best";
  return std::string(". HINT: ") +
         (best ? "--checkpoint last takes the newest of the training"
               : "--checkpoint names another one; `hrm train --resume` takes the newest that is "
                 "whole");
}

Json read_state(const Path& folder) {
  const Path file = folder / kStateFile;
  HRM_CHECK(fs::exists(file), "[checkpoint] ", folder.string(), " is no checkpoint: it has no ",
            kStateFile, advice(folder));
  Json state;
  try {
    state = read_json(file);
  } catch (const Error& error) {
    detail::fail(error.what(), advice(folder));
  }
  HRM_CHECK(state.is_object() && state.contains("format") && state["format"].is_number_integer(),
            "[checkpoint] ", file.string(), " is damaged: it names no format", advice(folder));
  // Format 1 had no checksum of its own.
  const bool whole = state.contains("checksum") ? state["checksum"] == state_checksum(state)
                                                : state["format"] == 1;
  HRM_CHECK(whole, "[checkpoint] ", file.string(), " is damaged: its checksum is wrong",
            advice(folder));
  if (state["format"] != kFormat)
    throw OtherFormat("[checkpoint] " + file.string() + " has format " + state["format"].dump() +
                      ", this version of hrm reads format " + std::to_string(kFormat) +
                      ". HINT: use the version of hrm that wrote it");
  HRM_CHECK(state.contains("checksums") && state["checksums"].is_object(), "[checkpoint] ",
            file.string(), " is damaged: it has no checksums", advice(folder));
  return state;
}

// The hashes of the names of puzzle rows, out of the tensor that holds them.
std::vector<uint64_t> puzzle_names_of(const Tensor& names, const Path& file) {
  HRM_CHECK(names.dtype() == DType::i32 && names.ndim() == 2 && names.size(1) == 2, "[checkpoint] ",
            file.string(), ": '", kNames, "' must be i32 [rows, 2], got ", names.dtype(), " ",
            names.shape());
  std::vector<uint64_t> hashes(static_cast<size_t>(names.size(0)));
  if (!hashes.empty()) std::memcpy(hashes.data(), names.data(), hashes.size() * 8);
  return hashes;
}

// Puts the folder `fresh` in the place of `folder`, so that at every moment one of the two is
// there.
void exchange(const Path& fresh, const Path& folder) {
  file_operation("[checkpoint] cannot rename", fresh, [&] {
    if (!fs::exists(fs::symlink_status(folder))) {
      fs::rename(fresh, folder);
      sync_folder_of(folder);
      return;
    }
    if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, folder.c_str(), RENAME_EXCHANGE) == 0) {
      sync_folder_of(folder);
      fs::remove_all(fresh);  // the old one
      return;
    }
    // Some file systems cannot exchange. The old folder waits beside it, where remove_temporaries
    // finds it.
    const Path old = folder.string() + kOldFolder;
    fs::remove_all(old);
    fs::rename(folder, old);
    fs::rename(fresh, folder);
    sync_folder_of(folder);
    fs::remove_all(old);
  });
}

}  // namespace

void write_checkpoint(const Path& folder, const Checkpoint& checkpoint) {
  const Path temporary = folder.string() + kTemporaryFolder;
  try {
    file_operation("[checkpoint] cannot create", temporary, [&] {
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
    for (const char* file : {kModelFile, kTrainingFile})
      state["checksums"][file] = file_checksum(temporary / file);
    write_state(temporary, state);
    exchange(temporary, folder);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

void write_checkpoint_state(const Path& folder, const Json& state) {
  Json whole = state;
  whole["checksums"] = read_state(folder)["checksums"];
  write_state(folder, whole);
}

namespace {

Checkpoint read_once(const Path& folder, bool weights_only) {
  Checkpoint checkpoint;
  checkpoint.state = read_state(folder);
  const Json& sums = checkpoint.state["checksums"];
  for (const char* file : {kModelFile, kTrainingFile}) {
    if (weights_only && file == kTrainingFile) continue;
    HRM_CHECK(fs::exists(folder / file), "[checkpoint] ", folder.string(),
              " is damaged: it has no ", file, advice(folder));
    HRM_CHECK(sums.contains(file) && sums[file] == file_checksum(folder / file), "[checkpoint] ",
              (folder / file).string(), " is damaged: its checksum is wrong", advice(folder));
  }
  checkpoint.model = read_safetensors(folder / kModelFile).tensors;
  if (const Tensor* names = find(checkpoint.model, kNames)) {
    checkpoint.puzzle_names = puzzle_names_of(*names, folder / kModelFile);
    std::erase_if(checkpoint.model, [](const auto& entry) { return entry.first == kNames; });
  }
  if (!weights_only) checkpoint.training = read_safetensors(folder / kTrainingFile).tensors;
  return checkpoint;
}

// What tells whether a checkpoint is still the same one.
std::string state_text(const Path& folder) {
  const Path file = folder / kStateFile;
  std::error_code none;
  return fs::exists(file, none) ? read_file(file) : std::string();
}

}  // namespace

void load_saved(const NamedTensors& saved, const std::string& name, Tensor& tensor) {
  const Tensor* found = find(saved, name);
  HRM_CHECK(found && found->shape() == tensor.shape() && found->dtype() == tensor.dtype(),
            "[resume] the checkpoint has no '", name,
            "' of this shape. HINT: is it a checkpoint of another model?");
  tensor.copy_from(*found);
}

Checkpoint read_checkpoint(const Path& folder, bool weights_only) {
  // A training may put a new one in its place while we read: then files of both were seen.
  constexpr int kAttempts = 5;
  for (int i = 1;; ++i) {
    const std::string before = state_text(folder);
    try {
      Checkpoint checkpoint = read_once(folder, weights_only);
      if (i == kAttempts || state_text(folder) == before) return checkpoint;
    } catch (const Error&) {
      if (i == kAttempts || state_text(folder) == before) throw;
    }
  }
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
      rows > 1 ? mean(source.slice(0, 1, rows), 0) : zeros({dim}, source.dtype());
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

NamedTensors from_official(const NamedTensors& tensors) {
  const std::string compiled = "_orig_mod.";
  NamedTensors result;
  for (auto [name, tensor] : tensors) {
    for (size_t at; (at = name.find(compiled)) != std::string::npos;)
      name.erase(at, compiled.size());
    HRM_CHECK(name.starts_with(kOfficialPrefix), "[import] tensor names must start with '",
              kOfficialPrefix, "', got '", name, "'. HINT: is it a checkpoint of HRM or TRM?");
    result.emplace_back(name, tensor);
  }
  return result;
}

}  // namespace hrm

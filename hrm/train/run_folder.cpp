#include "hrm/train/run_folder.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "hrm/support/file_operation.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr const char* kConfigFile = "config.json";
constexpr const char* kLockFile = "lock";

// Whether `name` is that of a checkpoint: "step_" and eight digits or, in a long run, more.
bool is_step_name(const std::string& name) {
  const std::string_view digits = std::string_view(name).substr(std::min<size_t>(5, name.size()));
  return name.starts_with("step_") && digits.size() >= 8 && digits.size() <= 18 &&
         std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
}

// The folders of `path` that do not exist yet, outermost first.
std::vector<Path> missing_folders(const Path& path) {
  std::vector<Path> missing;
  std::error_code none;
  for (Path p = fs::absolute(path).lexically_normal(); !p.empty() && !fs::exists(p, none);
       p = p.parent_path())
    if (p.has_filename()) missing.insert(missing.begin(), p);
  return missing;
}

// Somebody's link would make the run write, or remove, where it leads.
void refuse_links(const Path& run) {
  std::error_code none;
  for (const char* name : {"checkpoints", "metrics.jsonl", kLockFile})
    CHECK(!fs::is_symlink(run / name, none), "[run] ", (run / name).string(),
          " is a link: a run writes to no place outside its folder. HINT: remove the link, or let "
          "the whole run folder be one");
}

}  // namespace

RunFolder::RunFolder(const Path& path) : path_(path), made_(missing_folders(path)) {
  std::error_code none;
  refuse_links(path_);
  lock_made_ = !fs::exists(path_ / kLockFile, none);
  try {
    lock_.emplace(path_);
    remove_temporaries(path_);
  } catch (...) {
    remove_empty_folders();
    throw;
  }
}

RunFolder::~RunFolder() {
  std::error_code none;
  if (lock_made_ && !fs::exists(path_ / kConfigFile, none)) {
    fs::remove(path_ / kLockFile, none);
    remove_empty_folders();
  }
}

bool RunFolder::has_run() const {
  std::error_code none;
  return fs::exists(path_ / kConfigFile, none);
}

void RunFolder::discard() {
  std::error_code none;
  for (const char* name : {kConfigFile, "metrics.jsonl"}) fs::remove(path_ / name, none);
  try {
    for (const Path& checkpoint : list_checkpoints(path_)) fs::remove_all(checkpoint, none);
  } catch (const Error&) {  // what cannot be read cannot be removed either
  }
  fs::remove(path_ / "checkpoints", none);  // if it is empty
}

// Those with something in them stay.
void RunFolder::remove_empty_folders() {
  std::error_code none;
  for (size_t i = made_.size(); i-- > 0;) fs::remove(made_[i], none);
}

Config read_config(const Path& run) {
  const Path path = run / kConfigFile;
  CHECK(fs::exists(path), "[run] ", run.string(),
        " is not a run folder: it has no config.json. "
        "HINT: `hrm train` and `hrm demo` make run folders");
  Config config = Config::from_json(read_json(path), path.string());
  // A data set inside the run folder moves with it.
  if (Path(config.data).is_relative() && fs::exists(run / config.data) && !config.data.empty())
    config.data = (run / config.data).string();
  return config;
}

Path checkpoint_path(const Path& run, int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step_%08lld", static_cast<long long>(step));
  return run / "checkpoints" / name;
}

int64_t step_of_checkpoint(const Path& folder) {
  return std::stoll(folder.filename().string().substr(5));
}

std::vector<Path> list_checkpoints(const Path& run) {
  std::vector<Path> found;
  const Path folder = run / "checkpoints";
  file_operation("[checkpoint] cannot read", folder, [&] {
    if (!fs::is_directory(folder)) return;
    for (const auto& entry : fs::directory_iterator(folder))
      if (is_step_name(entry.path().filename().string()) && entry.is_directory())
        found.push_back(entry.path());
  });
  // By number: after step_99999999 comes step_100000000.
  std::ranges::sort(found, {},
                    [](const Path& p) { return std::pair(p.native().size(), p.native()); });
  return found;
}

void prune_checkpoints(const Path& run, int64_t keep, int64_t step) {
  std::vector<Path> all = list_checkpoints(run);
  std::erase_if(all, [&](const Path& p) { return step_of_checkpoint(p) > step; });
  for (int64_t i = 0; i + keep < std::ssize(all); ++i)
    file_operation("[checkpoint] cannot remove", all[i], [&] {
      // Under another name first, so that a folder called step_... is never half removed.
      const Path leaving = all[i].string() + kTemporaryFolder;
      fs::remove_all(leaving);
      fs::rename(all[i], leaving);
      fs::remove_all(leaving);
    });
}

void remove_temporaries(const Path& run) {
  // The names that checkpoints and the files of a run folder may have.
  const auto ours = [](const std::string& name) {
    constexpr std::array files = {"config.json", "evaluation.json", "report.html"};
    return name == "best" || is_step_name(name) || std::ranges::count(files, name) > 0;
  };
  for (const Path& folder : {run, run / "checkpoints"})
    file_operation("[checkpoint] cannot clean up", folder, [&] {
      if (!fs::is_directory(folder)) return;
      std::vector<Path> left;
      for (const auto& entry : fs::directory_iterator(folder)) left.push_back(entry.path());
      for (const Path& path : left) {
        const bool old = path.extension() == kOldFolder;
        if ((!old && path.extension() != kTemporaryFolder) || !ours(path.stem().string())) continue;
        const Path whole = folder / path.stem();
        if (old && !fs::exists(whole))
          fs::rename(path, whole);
        else
          fs::remove_all(path);
      }
    });
}

}  // namespace hrm

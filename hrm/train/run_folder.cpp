#include "hrm/train/run_folder.h"

#include "hrm/train/run_files.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr const char* kConfigFile = "config.json";
constexpr const char* kLockFile = "lock";

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
    HRM_CHECK(
        !fs::is_symlink(run / name, none), "[run] ", (run / name).string(),
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

}  // namespace hrm

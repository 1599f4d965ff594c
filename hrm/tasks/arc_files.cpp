#include "hrm/tasks/arc_files.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "hrm/support/input.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

// Kaggle's *_solutions.json beside *_challenges.json, or an empty object.
Json read_solutions(const Path& challenges) {
  std::string file = challenges.string();
  const size_t at = file.rfind("_challenges");
  if (at == std::string::npos) return Json::object();
  file.replace(at, 11, "_solutions");
  if (!fs::exists(file)) return Json::object();
  Json solutions = read_json(file);
  HRM_CHECK(solutions.is_object(), "[arc] ", file,
            " must be an object with the outputs of each task");
  return solutions;
}

void read_arc_file(const Path& file, std::vector<ArcTask>& out) {
  const Path path = file == "-" ? "stdin" : file;  // a task is named after its file
  const std::string name = path.filename().string();
  if (name.find("_solutions") != std::string::npos || name == "sample_submission.json") return;
  const Json parsed = read_json_input(file);
  const bool combined = is_combined(parsed);
  const std::string role = combined ? name : path.parent_path().filename().string();
  const Json solutions = combined ? read_solutions(path) : Json::object();
  for (ArcTask& task : parse_arc_file(parsed, solutions, path)) {
    task.evaluated = combined ? role.find("evaluation") != std::string::npos ||
                                    role.find("test") != std::string::npos
                              : role == "evaluation";
    task.set = combined ? path.string() : path.parent_path().string();
    out.push_back(std::move(task));
  }
}

// The file itself, or the .json files of a folder, in order.
std::vector<Path> task_files(const Path& root) {
  if (root == "-") return {root};
  std::error_code error;
  HRM_CHECK(fs::exists(root, error), "[arc] there is no ", root.string());
  if (!fs::is_directory(root, error)) return {root};
  std::vector<Path> files;
  fs::recursive_directory_iterator entry(root, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error))
    if (entry->path().extension() == ".json") files.push_back(entry->path());
  HRM_CHECK(!error, "[arc] cannot look into ", root.string(), ": ", error.message());
  HRM_CHECK(!files.empty(), "[arc] ", root.string(),
            " holds no .json files. HINT: a clone of ARC-AGI, ARC-AGI-2 or ConceptARC, or Kaggle's "
            "files");
  std::ranges::sort(files);
  return files;
}

}  // namespace

std::vector<ArcTask> load_all_arc(const std::vector<Path>& from) {
  std::vector<ArcTask> all;
  for (const Path& root : from) {
    const std::vector<Path> files = task_files(root);
    std::map<std::string, std::string> seen;
    const size_t first = all.size();
    for (const Path& file : files) read_arc_file(file, all);
    for (size_t i = first; i < all.size(); ++i) {
      const auto [it, fresh] = seen.try_emplace(all[i].id, all[i].set);
      HRM_CHECK(fresh, "[arc] two tasks are named ", all[i].id, ": in ", it->second, " and in ",
                all[i].set, ". HINT: give each folder to --from by itself");
    }
  }
  return all;
}

std::vector<ArcTask> load_arc(const std::vector<Path>& from, int64_t* repeated) {
  std::vector<ArcTask> all = load_all_arc(from), kept;
  std::map<std::string, size_t> chosen;
  for (const bool evaluated : {true, false})
    for (size_t i = 0; i < all.size(); ++i)
      if (all[i].evaluated == evaluated) chosen.try_emplace(all[i].id, i);
  for (size_t i = 0; i < all.size(); ++i)
    if (chosen.at(all[i].id) == i) kept.push_back(std::move(all[i]));
  *repeated = static_cast<int64_t>(all.size() - kept.size());
  return kept;
}

}  // namespace hrm

#include "hrm/train/run_files.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "hrm/support/file_operation.h"
#include "hrm/support/json_lines.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr const char* kConfigFile = "config.json";
constexpr const char* kMetricsFile = "metrics.jsonl";
constexpr const char* kEvaluationFile = "evaluation.json";

// Whether `name` is that of a checkpoint: "step_" and eight digits or, in a long run, more.
bool is_step_name(const std::string& name) {
  const std::string_view digits = std::string_view(name).substr(std::min<size_t>(5, name.size()));
  return name.starts_with("step_") && digits.size() >= 8 && digits.size() <= 18 &&
         std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

void RunFiles::append_metrics(const Json& line) const {
  append_json_line(run_ / kMetricsFile, line.dump());
}

int64_t RunFiles::metrics_bytes() const {
  const Path file = run_ / kMetricsFile;
  return fs::exists(file) ? static_cast<int64_t>(fs::file_size(file)) : 0;
}

void RunFiles::cut_metrics(int64_t bytes) const {
  const Path path = run_ / kMetricsFile;
  std::error_code error;
  const auto there = static_cast<int64_t>(fs::file_size(path, error));
  if (error) return;  // there is none
  fs::resize_file(path, static_cast<uintmax_t>(std::clamp<int64_t>(bytes, 0, there)), error);
  HRM_CHECK(!error, "[train] cannot shorten ", path.string(), ": ", error.message());
}

Path RunFiles::save(const Checkpoint& checkpoint, int64_t step, int64_t keep) const {
  const Path folder = checkpoint_path(run_, step);
  write_checkpoint(folder, checkpoint);
  prune_checkpoints(run_, keep, step);
  return folder;
}

void RunFiles::write_evaluation(const Json& result) const {
  write_file_atomically(run_ / kEvaluationFile, result.dump() + "\n");
}

RunFiles::Newest RunFiles::newest_checkpoint() const {
  std::vector<Path> all = list_checkpoints(run_);
  HRM_CHECK(!all.empty(), "[resume] ", run_.string(),
            " has no checkpoint. HINT: train without --resume");
  const auto without_hint = [](const std::string& message) {
    return message.substr(0, message.find(". HINT"));
  };
  Newest newest;
  for (; !all.empty(); all.pop_back()) {
    try {
      newest.folder = all.back();
      newest.checkpoint = read_checkpoint(newest.folder);
      return newest;
    } catch (const OtherFormat&) {
      throw;
    } catch (const Error& error) {
      newest.damaged.push_back(without_hint(error.what()));
    }
  }
  detail::fail("[resume] no checkpoint of ", run_.string(),
               " is whole, the newest: ", newest.damaged.front(),
               ". HINT: start anew in another run folder",
               fs::exists(best()) ? ", from the best weights with --init " + run_.string() : "");
}

Config read_config(const Path& run) {
  HRM_CHECK(!fs::is_regular_file(run), "[run] ", run.string(),
            " is a file, and a run folder is needed here. HINT: a model in one file is for `hrm "
            "eval`, `hrm solve` and `hrm train --init`");
  const Path path = run / kConfigFile;
  HRM_CHECK(fs::exists(path), "[run] ", run.string(),
            " is not a run folder: it has no config.json. "
            "HINT: `hrm train` and `hrm demo` make run folders");
  const Json json = read_json(path);
  Config config = Config::from_json(json, path.string());
  // A data set inside the run folder moves with it. Another one may have been moved together with
  // the run: then it is not where it was, but where it was as seen from the run.
  const std::string beside = Members(json, path.string()).text("data_beside", "");
  if (config.data.empty()) return config;
  if (Path(config.data).is_relative() && fs::exists(run / config.data))
    config.data = (run / config.data).string();
  else if (!beside.empty() && !fs::exists(config.data) && fs::exists(run / beside))
    config.data = fs::weakly_canonical(run / beside).string();
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

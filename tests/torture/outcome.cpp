#include "tests/torture/outcome.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <sstream>
#include <vector>

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

// Members of state.json that may differ: times, how far the rows were read ahead, and how the
// folder of the data set was called.
const std::vector<std::string> kFree = {"elapsed", "window_started", "metrics_bytes",
                                        "sampler", "checksum",       "checksums"};

std::string bytes_of(const Path& file) { return fs::exists(file) ? read_file(file) : "missing"; }

// A JSON file without some of its members.
std::string without(const Path& file, const std::vector<std::string>& members) {
  if (!fs::exists(file)) return "missing";
  Json json = Json::parse(read_file(file), nullptr, false);
  if (!json.is_object()) return "damaged";
  for (const std::string& member : members) json.erase(member);
  if (json.contains("config") && json["config"].is_object()) json["config"].erase("data");
  return json.dump();
}

void add_metrics(const Path& file, Outcome& outcome) {
  if (!fs::exists(file)) {
    outcome["metrics.jsonl"] = "missing";
    return;
  }
  std::istringstream lines(read_file(file));
  std::set<std::string> seen;
  std::string all;
  int64_t twice = 0;
  for (std::string line; std::getline(lines, line);) {
    Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) {
      all += "damaged line\n";
      continue;
    }
    for (const char* time : {"elapsed", "seconds", "samples_per_second"}) json.erase(time);
    const std::string kind = json.contains("eval") ? "eval " : "train ";
    if (!seen.insert(kind + json.value("step", Json()).dump()).second) ++twice;
    all += json.dump() + "\n";
  }
  outcome["metrics.jsonl"] = all;
  outcome["lines that metrics.jsonl has twice"] = std::to_string(twice);
}

}  // namespace

Path checkpoint_of(const Path& run, int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step_%08lld", static_cast<long long>(step));
  return run / "checkpoints" / name;
}

std::vector<Path> checkpoints_of(const Path& run) {
  std::vector<Path> found;
  if (!fs::is_directory(run / "checkpoints")) return found;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
    const std::string name = entry.path().filename();
    if (name.starts_with("step_") && name.size() == 13) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

Outcome outcome_of(const Path& run, int64_t steps) {
  const Path last = checkpoint_of(run, steps);
  Outcome outcome;
  outcome["final weights"] = bytes_of(last / "model.safetensors");
  outcome["moments"] = bytes_of(last / "training.safetensors");
  outcome["state.json"] = without(last / "state.json", kFree);
  outcome["best weights"] = bytes_of(run / "best" / "model.safetensors");
  outcome["evaluation.json"] = without(run / "evaluation.json", {"seconds"});
  add_metrics(run / "metrics.jsonl", outcome);
  return outcome;
}

std::string difference(const Outcome& expected, const Outcome& got) {
  std::string names;
  for (const auto& [name, value] : expected) {
    const auto found = got.find(name);
    if (found != got.end() && found->second == value) continue;
    if (!names.empty()) names += ", ";
    names += name;
    if (found != got.end() && found->second.size() < 10) names += " (" + found->second + ")";
  }
  return names.empty() ? "" : "differs: " + names;
}

}  // namespace hrm::torture

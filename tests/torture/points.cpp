// SIGKILL just before a system call that changes the run folder: before each rename, unlink, rmdir,
// mkdir, fsync, ftruncate and open, and before every fourth write.
#include "tests/torture/stage.h"
#include "tests/torture/tracer.h"

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kEveryWrite = 4;
constexpr const char* kGoesOn = "SIGKILL at a system call: the next call goes on";
constexpr const char* kBest = "SIGKILL at a system call: best is absent or complete";
constexpr const char* kSame = "SIGKILL at a system call: the same files in the end";

// The numbers of the calls to be killed at.
std::vector<int64_t> points_of(const std::vector<SystemCall>& calls) {
  std::vector<int64_t> points;
  int64_t writes = 0;
  for (int64_t i = 0; i < std::ssize(calls); ++i)
    if (calls[i].name != "write" || writes++ % kEveryWrite == 0) points.push_back(i);
  return points;
}

// A few of them, in random order and with every kind of call among them.
std::vector<int64_t> some_of(std::vector<int64_t> points, const std::vector<SystemCall>& calls,
                             size_t count, Random random) {
  random.shuffle(points);
  std::vector<int64_t> chosen;
  std::vector<int64_t> others;
  std::map<std::string, int> seen;
  for (const int64_t point : points) {
    const bool is_new = seen[calls[point].name]++ == 0;
    (is_new ? chosen : others).push_back(point);
  }
  for (const int64_t point : others)
    if (chosen.size() < count) chosen.push_back(point);
  return chosen;
}

// A shorter name for a point in a message.
std::string name_of(const SystemCall& call, const Path& folder) {
  return call.name + " of " + call.path.lexically_relative(fs::absolute(folder)).string();
}

void kill_at(Torture& torture, const Outcome& expected, int64_t point, const SystemCall& call) {
  Ledger& ledger = torture.ledger;
  const Path folder = "point";
  fs::remove_all(folder);
  const Trace killed = trace(kShortTraining.begin(folder) + kOneThread, folder, point);
  const std::string where = "at " + name_of(call, folder) + " (call " + std::to_string(point) + ")";
  if (!killed.killed) {
    ledger.record(kGoesOn, where + ": was not reached, " + killed.result.describe(), folder);
    return;
  }
  ledger.count("kills at " + call.name);
  if (fs::exists(folder / "best")) {
    const Result eval = run({"eval", "--run", folder.string(), "--max", "1"});
    ledger.record(kBest, eval.succeeded() ? "" : where + ": " + eval.describe(), folder);
  }
  const Result end = run(kShortTraining.go_on(folder) + kOneThread);
  ledger.record(kGoesOn, end.succeeded() ? "" : where + ": " + end.describe(), folder);
  if (!end.succeeded()) return;
  const std::string why = difference(expected, outcome_of(folder, kShortTraining.steps));
  ledger.record(kSame, why.empty() ? "" : where + ": " + why, folder);
}

}  // namespace

void kill_at_system_calls(Torture& torture) {
  if (const std::string why = why_no_tracing(); !why.empty()) {
    for (const char* what : {kGoesOn, kBest, kSame}) torture.ledger.skip(what, why);
    return;
  }
  const Trace whole = trace(kShortTraining.begin("point") + kOneThread, "point", kNever);
  if (!whole.result.succeeded())
    throw std::runtime_error("a traced training: " + whole.result.describe());
  const Outcome expected = outcome_of("point", kShortTraining.steps);
  std::vector<int64_t> points = points_of(whole.calls);
  say("  " + std::to_string(whole.calls.size()) + " system calls in the run folder, " +
      std::to_string(points.size()) + " of them points to kill at");
  if (torture.brief) points = some_of(points, whole.calls, 20, torture.random("points"));
  for (size_t i = 0; i < points.size(); ++i) {
    kill_at(torture, expected, points[i], whole.calls[points[i]]);
    if ((i + 1) % 20 == 0)
      say("  " + std::to_string(i + 1) + " of " + std::to_string(points.size()) + " points");
  }
}

}  // namespace hrm::torture

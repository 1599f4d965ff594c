// SIGKILL at random times. Whatever was going on, the next call goes on, and in the end everything
// is as in a training that was never killed.
#include <signal.h>

#include "tests/torture/stage.h"

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

constexpr const char* kGoesOn = "SIGKILL at a random time: the next call goes on";
constexpr const char* kBest = "SIGKILL at a random time: best is absent or complete";
constexpr const char* kSame = "SIGKILL at random times: the same files in the end";
constexpr int64_t kMostKills = 12;  // of one run; then it may finish

// Whether the run is just writing something that it will rename when it is complete.
bool is_writing(const Path& run) {
  for (const Path& folder : {run, run / "checkpoints"}) {
    std::error_code gone;  // the program works on these folders at the same time
    for (fs::directory_iterator entry(folder, gone), end; !gone && entry != end;
         entry.increment(gone))
      if (entry->path().string().find(".tmp") != std::string::npos) return true;
  }
  return false;
}

// Lets the process run for `patience` seconds and, in half of the cases, on until it is writing
// something. Returns whether it still runs then.
bool still_runs(Process& process, const Path& run, double patience, Random& random) {
  const bool at_writing = random.chance(0.5);
  const double further = 0.002 * random.uniform();
  if (!process.running_after(patience)) return false;
  if (!at_writing) return true;
  while (process.running() && !is_writing(run)) sleep_for(0.0001);
  return process.running_after(further);
}

void count_what_was_hit(Ledger& ledger, const Path& run) {
  if (checkpoints_of(run).empty()) ledger.count("kills before the first checkpoint");
  if (is_writing(run)) ledger.count("kills while something was being written");
}

// Kills one training up to `most` times and lets it finish. Returns the number of kills.
int64_t torture_run(Torture& torture, const Path& folder, int64_t most, Random& random) {
  Ledger& ledger = torture.ledger;
  int64_t kills = 0;
  while (true) {
    const Words threads = {"--threads", random.chance(0.25) ? "2" : "1"};
    // Mostly short: a run is killed several times before it is done, and some before its first
    // checkpoint.
    const double patience = 0.6 * torture.whole_seconds * random.uniform() * random.uniform();
    Process process(kLongTraining.go_on(folder) + threads);
    if (kills < most && still_runs(process, folder, patience, random)) {
      process.send(SIGKILL);
      process.wait();
      ++kills;
      count_what_was_hit(ledger, folder);
      if (fs::exists(folder / "best")) {
        const Result eval = run({"eval", "--run", folder.string(), "--max", "1"});
        ledger.record(kBest, eval.succeeded() ? "" : eval.describe(), folder);
      }
      continue;
    }
    const Result end = process.wait();
    if (kills > 0) ledger.record(kGoesOn, end.succeeded() ? "" : end.describe(), folder);
    // Every kill but the last was followed by a call that was killed in its turn.
    for (int64_t i = 1; i < kills && end.succeeded(); ++i) ledger.record(kGoesOn, "");
    if (end.succeeded())
      ledger.record(kSame, difference(torture.whole, outcome_of(folder, kLongTraining.steps)),
                    folder);
    return kills;
  }
}

}  // namespace

void kill_at_random_times(Torture& torture) {
  const int64_t wanted = torture.cases(100, 8);
  Random random = torture.random("kills");
  int64_t kills = 0;
  for (int64_t index = 0; kills < wanted; ++index) {
    const Path folder = "killed-" + std::to_string(index);
    const int64_t most = std::min(kMostKills, wanted - kills);
    const int64_t more = torture_run(torture, folder, most, random);
    kills += more;
    say("  " + std::to_string(kills) + " of " + std::to_string(wanted) + " kills");
    fs::remove_all(folder);
    if (more == 0 && index > 2 * wanted) {
      torture.ledger.record(kGoesOn, "no training could be killed: all finished first");
      return;
    }
  }
}

}  // namespace hrm::torture

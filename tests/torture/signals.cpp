// SIGINT and SIGTERM while a training runs: it writes a checkpoint, says how to go on, and its exit
// status is that of a program which the signal ended.
#include <signal.h>

#include <algorithm>

#include "tests/torture/stage.h"

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

constexpr double kPatience = 300;  // seconds until a training must have begun

int64_t lines_of(const Path& file) {
  if (!fs::exists(file)) return 0;
  const std::string text = read_file(file);
  return std::ranges::count(text, '\n');
}

// Waits until the training has written so many lines of metrics.
bool wait_for_lines(Process& process, const Path& run, int64_t lines) {
  const double end = now() + kPatience;
  while (process.running() && now() < end) {
    if (lines_of(run / "metrics.jsonl") >= lines) return true;
    sleep_for(0.0005);
  }
  return false;
}

std::string stopped_badly(const Result& result, int status) {
  if (result.signal != 0 || result.status != status)
    return "exit status must be " + std::to_string(status) + ", got " + result.describe();
  if (result.err.find("--resume") == std::string::npos)
    return "does not say how to go on: " + result.describe();
  return "";
}

// One training, stopped once at a random step and resumed.
void stop_one(Torture& torture, int signal, const std::string& name, Random& random) {
  const Path folder = "stopped";
  fs::remove_all(folder);
  // Some lines before the last, so that the signal does not find a program about to end.
  const int64_t lines = 1 + static_cast<int64_t>(random.below(200));
  const double further = 0.005 * random.uniform();
  Process process(kLongTraining.begin(folder) + kOneThread);
  if (!wait_for_lines(process, folder, lines)) {
    torture.ledger.record(name + ": status, message, checkpoint",
                          "the training did not begin: " + process.wait().describe(), folder);
    return;
  }
  sleep_for(further);
  process.send(signal);
  const Result stopped = process.wait();
  std::string why = stopped_badly(stopped, 128 + signal);
  if (why.empty() && checkpoints_of(folder).empty()) why = "no checkpoint was written";
  torture.ledger.record(name + ": status, message, checkpoint", why, folder);
  const Result resumed = run(kLongTraining.resume(folder) + kOneThread);
  torture.ledger.record(name + ": the same files after --resume",
                        resumed.succeeded()
                            ? difference(torture.whole, outcome_of(folder, kLongTraining.steps))
                            : resumed.describe(),
                        folder);
}

}  // namespace

void stop_by_signals(Torture& torture) {
  Random random = torture.random("signals");
  for (int64_t i = 0; i < torture.cases(10, 1); ++i) {
    stop_one(torture, SIGINT, "SIGINT", random);
    stop_one(torture, SIGTERM, "SIGTERM", random);
  }
}

}  // namespace hrm::torture

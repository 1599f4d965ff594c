// Two processes on one run folder: the second is refused and says who holds it; the first does not
// notice.
#include <signal.h>

#include "tests/torture/stage.h"

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

constexpr const char* kRefused = "a second process on a run folder is refused";
constexpr const char* kUndisturbed = "the first process is not disturbed";
constexpr const char* kReleased = "a killed process holds a run folder no longer";

std::string must_be_refused(const Words& words, pid_t owner) {
  const Result second = run(words);
  if (second.succeeded()) return "was not refused: " + joined(words);
  if (const std::string why = misbehaviour(second); !why.empty()) return why;
  const std::string text = "in use by process " + std::to_string(owner) + " on ";
  if (second.err.find(text) == std::string::npos)
    return "does not say '" + text + "': " + second.describe();
  return "";
}

void share_once(Torture& torture, Random& random) {
  const Path folder = "shared";
  fs::remove_all(folder);
  Process first(kLongTraining.begin(folder) + kOneThread);
  while (first.running() && checkpoints_of(folder).empty()) sleep_for(0.001);
  sleep_for(0.02 * random.uniform());
  // Stopped meanwhile, so that the second surely comes while the first holds the folder.
  first.send(SIGSTOP);
  torture.ledger.record(kRefused, must_be_refused(kLongTraining.resume(folder), first.pid()),
                        folder);
  first.send(SIGCONT);
  const Result end = first.wait();
  torture.ledger.record(kUndisturbed,
                        end.succeeded()
                            ? difference(torture.whole, outcome_of(folder, kLongTraining.steps))
                            : end.describe(),
                        folder);
}

void kill_the_owner(Torture& torture) {
  const Path folder = "released";
  fs::remove_all(folder);
  Process first(kLongTraining.begin(folder) + kOneThread);
  while (first.running() && checkpoints_of(folder).empty()) sleep_for(0.001);
  first.send(SIGKILL);
  first.wait();
  const Result second = run(kLongTraining.resume(folder) + kOneThread);
  torture.ledger.record(kReleased, second.succeeded() ? "" : second.describe(), folder);
}

}  // namespace

void share_a_run_folder(Torture& torture) {
  Random random = torture.random("sharing");
  for (int64_t i = 0; i < torture.cases(5, 1); ++i) share_once(torture, random);
  kill_the_owner(torture);
}

}  // namespace hrm::torture

// What every driver starts from: data sets, tasks and finished runs, all tiny, in the working
// folder.
#pragma once

#include "tests/torture/ledger.h"
#include "tests/torture/outcome.h"
#include "tests/torture/random.h"

namespace hrm::torture {

// A training that finishes in about a second, with checkpoints and evaluations on the way.
struct Training {
  int64_t steps;
  int64_t checkpoint_every;
  int64_t eval_every;

  // The words of `hrm train` into `run`, from its beginning or from where it was.
  Words begin(const Path& run) const;
  Words resume(const Path& run) const;
  // Resumes if there is a run, begins otherwise.
  Words go_on(const Path& run) const;
};

inline constexpr Training kLongTraining = {300, 11, 20};
inline constexpr Training kShortTraining = {30, 15, 10};
inline constexpr Training kSavedTraining = {60, 20, 20};  // of the run `base`

inline const Words kOneThread = {"--threads", "1"};
// The settings of the smallest model.
Words tiny_model();
// `words` and then `more`.
Words operator+(Words words, const Words& more);

// Makes what the drivers start from. All names are relative to the working folder:
//   d4            a Sudoku data set
//   arc           task files: arc/training/t1.json, arc/evaluation/e1.json and e2.json
//   da, do        the tasks as data sets, compact and in the official form
//   whole         a finished run of kLongTraining; returns the seconds that it took
//   base          a finished run of kSavedTraining that kept all its checkpoints
//   at40          the same run as it was after step 40
//   ra, ro        runs on da and do; ra has predictions
//   w.safetensors exported weights
//   lab.json      an experiment
double make_stage();

// What all drivers share.
struct Torture {
  Ledger& ledger;
  uint64_t seed;
  bool brief;            // the form of a minute
  Outcome whole;         // of a kLongTraining that nobody disturbed
  double whole_seconds;  // that it took

  // A number of cases: in the long form, in the brief form.
  int64_t cases(int64_t full, int64_t few) const { return brief ? few : full; }
  Random random(const std::string& name) const { return Random(seed, name); }
};

// Each driver counts what it tries in the ledger.
void kill_at_random_times(Torture& torture);
void kill_at_system_calls(Torture& torture);
void damage_files(Torture& torture);
void stop_by_signals(Torture& torture);
void share_a_run_folder(Torture& torture);
void use_hostile_names(Torture& torture);
void follow_links(Torture& torture);
void lose_output(Torture& torture);

}  // namespace hrm::torture

// One network, fitted to one task, and what it has answered so far.
//
//     TaskFit fit(task, seed);
//     while (fit.steps() < 2000) fit.advance();
//     fit.answers().best();   // the grids of all tests
#pragma once

#include <memory>

#include "examples/compressarc/answers.h"
#include "examples/compressarc/loss.h"
#include "hrm/support/json.h"
#include "nn/optim/adam.h"

namespace hrm::compressarc {

inline constexpr int64_t kMostSteps = 100'000;
inline constexpr int64_t kRecordEvery = 50;  // steps

// What a step costs, in nats.
struct StepCosts {
  double kl = 0;              // of all latents
  double reconstruction = 0;  // of all known grids
};

// What is recorded every kRecordEvery steps.
struct FitRecord {
  int64_t step = 0;
  StepCosts costs;
  std::vector<double> kl_of;  // in the order of subsets(); empty in files of earlier versions
  Answer best, second;        // so far

  Json to_json() const;
};
// The "history" of a result: the steps ascend, and no file has more than kMostSteps allow. An Error
// that names the file otherwise.
std::vector<FitRecord> parse_history(const Members& result, size_t tests);

// The same for a task and a seed that lead to the same fit, and for no others.
std::string fit_key(const CodedTask& task, uint64_t seed);

class TaskFit {
 public:
  TaskFit(const ArcTask& task, uint64_t seed);

  // One step of Adam on kl + 10 * reconstruction. Its draws follow from the seed and the number of
  // the step. An Error if the costs are no longer finite.
  StepCosts advance();
  int64_t steps() const { return steps_; }     // done
  double seconds() const { return seconds_; }  // that they took
  const Answers& answers() const { return answers_; }

  // {"task", "fit" (its key), "steps", "seconds", "best", "second", "history"}: the last is what
  // was recorded every kRecordEvery steps, {"step", "kl", "kl_of" (by the names of subsets),
  // "reconstruction", "best", "second"}.
  Json result() const;

  // A fit that was saved goes on with the same bits. load throws one line if the file is damaged,
  // or of another task or seed, and leaves the fit unusable.
  void save(const Path& file) const;
  void load(const Path& file);

 private:
  // False if it is of another task or seed.
  bool restore(const Safetensors& saved, const std::string& file);

  CodedTask task_;
  std::string key_;
  uint64_t seed_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Adam> optimizer_;
  Answers answers_;
  int64_t steps_ = 0;
  double seconds_ = 0;
  std::vector<FitRecord> history_;
};

}  // namespace hrm::compressarc

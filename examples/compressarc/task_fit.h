// One network, fitted to one task, and what it has answered so far.
//
//     TaskFit fit(task, seed);
//     while (fit.steps() < 2000) fit.advance();
//     fit.answers().best();   // the grids of all tests
#pragma once

#include <memory>

#include "examples/compressarc/answers.h"
#include "examples/compressarc/loss.h"
#include "nn/optim/adam.h"

namespace hrm::compressarc {

// What a step costs, in nats.
struct StepCosts {
  double kl = 0;              // of all latents
  double reconstruction = 0;  // of all known grids
};

class TaskFit {
 public:
  TaskFit(const ArcTask& task, uint64_t seed);

  // One step of Adam on kl + 10 * reconstruction. Its draws follow from the seed and the number of
  // the step.
  StepCosts advance();
  int64_t steps() const { return steps_; }  // done
  const Answers& answers() const { return answers_; }
  const CodedTask& task() const { return task_; }

  // A fit that was saved goes on with the same bits. load throws one line if the file is damaged,
  // or of another task or seed, and leaves the fit unusable.
  void save(const Path& file) const;
  void load(const Path& file);

 private:
  std::string key() const;

  CodedTask task_;
  uint64_t seed_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Adam> optimizer_;
  Answers answers_;
  int64_t steps_ = 0;
};

}  // namespace hrm::compressarc

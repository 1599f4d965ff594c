// What a training reports between two lines of metrics.jsonl: sums on the device, which become
// means on the host when a line is due.
//
//     MetricsWindow window(device);
//     for (const SegmentResult& part : parts) window.add(part);   // every step
//     window.start(line, rows);                                   // a line is due
//     if (const auto metrics = window.finished_line(false)) write(metrics->to_json());
#pragma once

#include <optional>

#include "hrm/model/segment.h"
#include "hrm/support/json.h"
#include "tensor/transfer.h"

namespace hrm {

// Averages over the steps of one line of metrics.jsonl. Accuracies and segments count the puzzles
// that were finished in those steps.
struct TrainMetrics {
  int64_t step = 0, samples = 0;
  double loss = 0, lm_loss = 0, q_halt_loss = 0, q_continue_loss = 0;
  double finished = 0, accuracy = 0, exact_accuracy = 0, q_halt_accuracy = 0;
  double steps = 0;  // segments of a finished puzzle
  double lr = 0, elapsed = 0, samples_per_second = 0;
  Json to_json() const;
};

class MetricsWindow {
 public:
  explicit MetricsWindow(Device device);

  // Adds the losses and counts of a segment, on the device.
  void add(const SegmentResult& part);
  // Starts a line: the sums since the last one, of so many rows, are on their way to the host when
  // this returns, and begin again at 0. `line` has all that is not a mean.
  void start(const TrainMetrics& line, double rows);
  // The line that start() began, once its sums are there, or, if `wait`, at once; else none.
  std::optional<TrainMetrics> finished_line(bool wait);
  // The sums, for a checkpoint: f64, one for each mean.
  Tensor& sums() { return sums_; }
  const Tensor& sums() const { return sums_; }

 private:
  Tensor sums_;
  Readback values_;
  std::optional<TrainMetrics> pending_;
  double rows_ = 0;  // of the pending line
};

}  // namespace hrm

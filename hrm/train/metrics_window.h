// What a training reports between two lines of metrics.jsonl: sums on the device, which become
// means on the host when a line is due.
//
//     MetricsWindow window(learner.columns(), device);
//     window.add(0, loss);                                        // every step
//     window.start(line, rows);                                   // a line is due
//     if (const auto metrics = window.finished_line(false)) show(metrics->to_json());
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "hrm/support/json.h"
#include "tensor/transfer.h"

namespace hrm {

// A sum: its name, and by what it is divided. row: the rows of the window; finished: what the sum
// named "finished" says; window: nothing.
struct MetricColumn {
  enum class Per { row, finished, window };
  const char* name;
  Per per;
};

// A line of metrics.jsonl: averages over the steps since the one before.
struct TrainMetrics {
  int64_t step = 0, samples = 0;
  double lr = 0, elapsed = 0, samples_per_second = 0;
  std::vector<std::pair<const char*, double>> means;  // in the order of the columns

  // The mean of that name; 0 if there is none.
  double mean(std::string_view name) const;
  Json to_json() const;
};

// Adds values to `sums` (f64 [columns]) from that column on, on the device; nothing if they are
// undefined.
void add_to_sums(const Tensor& sums, int64_t column, const Tensor& values);

class MetricsWindow {
 public:
  // One column is named "finished".
  MetricsWindow(std::vector<MetricColumn> columns, Device device);

  // As add_to_sums.
  void add(int64_t column, const Tensor& values) { add_to_sums(sums_, column, values); }
  // Starts a line: the sums since the last one, of so many rows, are on their way to the host when
  // this returns, and begin again at 0. `line` has all that is not a mean.
  void start(const TrainMetrics& line, double rows);
  // The line that start() began, once its sums are there, or, if `wait`, at once; else none.
  std::optional<TrainMetrics> finished_line(bool wait);
  // The sums, for a checkpoint: f64, one for each column.
  Tensor& sums() { return sums_; }
  const Tensor& sums() const { return sums_; }

 private:
  std::vector<MetricColumn> columns_;
  Tensor sums_;
  Readback values_;
  std::optional<TrainMetrics> pending_;
  double rows_ = 0;  // of the pending line
};

}  // namespace hrm

// metrics.jsonl of a run, read again and written for other programs.
//
//     const MetricLines lines = read_metrics("runs/mine");
//     write_output("metrics.csv", metrics_csv(lines));   // tensor/io.h
#pragma once

#include <vector>

#include <nlohmann/json.hpp>

#include "hrm/config.h"
#include "hrm/view/page.h"
#include "tensor/io.h"

namespace hrm {

struct MetricLines {
  std::vector<Json> train, eval;
};
// The lines of RUN/metrics.jsonl; none if it does not exist. A last line that was cut off while it
// was written is left out, and so are lines that say what a resumed run has changed; any other that
// is damaged is an Error. "step", "samples", "elapsed" and "eval" have their types if a line has
// them.
MetricLines parse_metrics(std::string_view text, const std::string& source);
MetricLines read_metrics(const Path& run);

// Points (x, y) of two numeric keys, thinned to a few hundred.
Curve curve(const std::vector<Json>& lines, const char* x, const char* y);

// One row a line: kind (train, eval) and every key that occurs, in order of appearance.
std::string metrics_csv(const MetricLines& lines);

// A TensorBoard event file (TFRecords of tensorflow.Event): every number of a line as the scalar
// train/KEY or eval/KEY at its step. Times are started + elapsed seconds.
std::string tensorboard_events(const MetricLines& lines, double started);

// CRC-32C (Castagnoli), as TFRecords need it.
uint32_t crc32c(const std::string& bytes);

}  // namespace hrm

// report.html: a run as one self-contained page (no network, no framework).
//
//     write_report("runs/mine");   // writes runs/mine/report.html
#pragma once

#include <optional>
#include <string>

#include "hrm/eval/eval_result.h"
#include "hrm/view/metrics.h"
#include "tensor/io.h"

namespace hrm {

// The page of a run folder, from config.json, metrics.jsonl and evaluation.json. What is not there
// yet is said in its place; a last line of metrics.jsonl that was cut off is ignored.
std::string render_report(const Path& run);
// The same from what the files hold: config.json (errors name `source`), and `name` for a run
// without a preset.
std::string report_page(const Json& config, const std::string& source, const std::string& name,
                        const MetricLines& metrics, const std::optional<EvalResult>& result);
// Writes it to RUN/report.html.
void write_report(const Path& run);

}  // namespace hrm

// report.html: a run as one self-contained page (no network, no framework).
#pragma once

#include <string>

#include "hrm/eval_result.h"
#include "tensor/io.h"

namespace hrm {

// The page of a run folder, from config.json, metrics.jsonl and evaluation.json. What is not there
// yet is said in its place; a last line of metrics.jsonl that was cut off is ignored.
std::string render_report(const Path& run);
// Writes it to RUN/report.html.
void write_report(const Path& run);

}  // namespace hrm

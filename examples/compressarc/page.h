// A page about the fit of a task: what its latents tell, how its answers came about, and what they
// are.
//
//     write_output("00576224.html", task_page(task, fit.result(), "result.json"));
#pragma once

#include "hrm/support/json.h"
#include "hrm/tasks/arc.h"

namespace hrm::compressarc {

// result: what TaskFit::result() returns. An Error that names `source` if it is not that.
std::string task_page(const ArcTask& task, const Json& result, const std::string& source);

}  // namespace hrm::compressarc

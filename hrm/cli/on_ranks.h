// A command that several processes carry out together.
#pragma once

#include <functional>

#include "nn/distributed/communicator.h"

namespace hrm {

// Joins the job that a launcher has started this process for (nn/distributed/job.h) and calls
// `work` on every rank; alone, it does nothing else. Only the first rank prints. If one fails, all
// end: the first says why, and a rank whose answer is missing is named by all that miss it. Ranks
// on one machine share out its cores, unless each has its own already or OMP_NUM_THREADS is set.
void run_on_ranks(const std::function<void(const Communicator& ranks)>& work);

}  // namespace hrm

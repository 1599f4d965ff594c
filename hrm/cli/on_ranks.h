// Commands that several processes carry out together, or share out.
#pragma once

#include <functional>
#include <optional>

#include "hrm/cli/commands.h"
#include "hrm/support/shard.h"
#include "nn/distributed/communicator.h"

namespace hrm {

// Joins the job that a launcher has started this process for (nn/distributed/job.h) and calls
// `work` on every rank; alone, it does nothing else. Only the first rank prints. If one fails, all
// end: the first says why, and a rank whose answer is missing is named by all that miss it. Ranks
// on one machine share out its GPUs, and its cores, unless each has its own already or
// OMP_NUM_THREADS is set.
void run_on_ranks(const std::function<void(const Communicator& ranks)>& work);

// An Error on every rank if one would evaluate other weights, another data set or with other
// options than the first.
void check_same_evaluation(const Communicator& ranks, const LoadedRun& run,
                           const PuzzleDataset& data);

// For a farm, whose processes need not talk to each other: the shard `given` on the command line,
// or else this process's part among those that a launcher has started (the whole without one). The
// programs that the farm starts are alone.
Shard shard_of_process(const std::optional<Shard>& given);

}  // namespace hrm

// The job that a launcher (mpirun, srun, torchrun) has started this process for.
//
//     Communicator ranks = join_job();   // alone, if no launcher did
//     if (ranks.is_first()) show(ranks.size());
#pragma once

#include <string>

#include "nn/distributed/communicator.h"

namespace hrm {
inline namespace nn {

// Once in a process, before its work. Under mpirun and srun, processes talk over MPI, and their
// GPUs over NCCL, in builds that have them. Under torchrun all goes over NCCL, and each process
// takes the GPU of its number on the machine (LOCAL_RANK). The environment variable HRM_TIMEOUT
// gives the seconds that a call waits for the others (Communicator::kDeadline). Throws Error if a
// launcher has started several processes and this build cannot connect them, or if HRM_TIMEOUT is
// no number above 0.
Communicator join_job();

// How many processes the launcher says it has started; 1 if it does not say, or without one.
int64_t launched_processes();

// The number of this process among them, from 0; 0 if the launcher does not say.
int64_t launched_rank();
// Programs that this process starts from now on are alone, not part of the launcher's job.
void keep_launcher_from_children();

// What connects processes in this build: "MPI", "NCCL", "MPI and NCCL" or "none".
std::string distributed_engines();

}  // namespace nn
}  // namespace hrm

// Messages over MPI, between processes that mpirun or srun has started. Only in builds with MPI=1;
// callers use join_job() (job.h), which knows which engines there are.
#pragma once

#include <memory>

#include "nn/distributed/transport.h"

namespace hrm {
inline namespace nn {

// Starts MPI; once in a process. MPI ends when the transport does, unless this rank has left: then
// the process ends without, and the launcher sees to the others.
std::shared_ptr<Transport> join_mpi();

}  // namespace nn
}  // namespace hrm

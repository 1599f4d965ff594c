// Messages between the GPUs of several processes, over NCCL. Only in builds with NCCL; callers use
// join_job() (job.h), which knows which engines there are. Each rank needs a GPU of its own, chosen
// before (runtime::choose_device). NCCL does not know who is missing: then all others are.
#pragma once

#include <memory>
#include <string>

#include "nn/distributed/communicator.h"

namespace hrm {
inline namespace nn {

// Connects the GPUs of ranks that can talk already, see Communicator::ConnectGpus: the memory of
// the transport's messages is that of the GPUs, and they keep to the order of the kernels. Null if
// two ranks share a GPU, which NCCL does not allow.
std::shared_ptr<Transport> connect_gpus_over_nccl(const Communicator& ranks,
                                                  const std::shared_ptr<Transport>& host,
                                                  double deadline);

// Ranks that nothing else connects: what they say to each other passes their GPUs, too. The first
// listens at this address, "host:port", or at what the environment variable NCCL_COMM_ID names.
Communicator join_over_nccl(const std::string& address, int rank, int size, double deadline);

}  // namespace nn
}  // namespace hrm

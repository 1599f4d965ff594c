// Bytes between the processes of one job: what an engine such as MPI gives (mpi_transport.h), from
// memory of the host to memory of the host; or NCCL (nccl_transport.h), between GPUs.
// Callers use the Communicator (communicator.h), which is made of it.
//
//     const std::vector<int> missing = transport.exchange(out, in, 600);
//     if (!missing.empty()) show(missing);   // ranks that did not answer within ten minutes
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "kernels/types.h"

namespace hrm {
inline namespace nn {

class Transport {
 public:
  struct Outgoing {
    int to;
    const void* data;
    size_t bytes;
  };
  struct Incoming {
    int from;
    void* data;
    size_t bytes;
  };

  virtual ~Transport() = default;
  // Processes are numbered; a process's number is its rank, 0..size() - 1.
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // All but this one.
  std::vector<int> others() const {
    std::vector<int> ranks;
    for (int other = 0; other < size(); ++other)
      if (other != rank()) ranks.push_back(other);
    return ranks;
  }

  // Sends all of `out` and receives all of `in`, side by side. What one rank sends to another
  // arrives in the order of sending, and both must give the same number of bytes. Returns the ranks
  // that were not heard or reached within so many seconds, in rising order; none: all is done.
  // After a failure the job is over: nothing more can be exchanged. Throws Error if another rank
  // has left, with its reason.
  virtual std::vector<int> exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                                    double seconds) = 0;

  // Adds up the numbers of all ranks in place, in whatever order is quickest: the last digits may
  // differ from one job to the next, but not between its ranks. All must give as many numbers of
  // the same type (f32, f64 or bf16). Returns and throws as exchange() does; an engine that does
  // not know who is missing names all others.
  virtual std::vector<int> sum(void* values, DType dtype, int64_t count, double seconds) = 0;

  // Throws Error if another rank has left, with its reason, as far as the engine hears of it.
  virtual void check_left() {}

  // Tells the others that this rank leaves the job, and why: their exchange() throws. Takes at most
  // a second. Whoever fails calls it before the transport goes away, which else waits for the
  // others. Returns false if the engine has no way to tell them.
  virtual bool leave(const std::string& why) noexcept = 0;
};

}  // namespace nn
}  // namespace hrm

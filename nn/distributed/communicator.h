// What the processes of one job say to each other. A process that is alone uses the same calls, and
// they do nothing. All ranks must make the same calls in the same order.
//
//     Communicator ranks;                                    // alone; join_job() gives the others
//     const Range own = share_of(puzzles, ranks.rank(), ranks.size());
//     const std::vector<std::string> all = ranks.gather(work(own));
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nn/distributed/transport.h"
#include "tensor/tensor.h"

namespace hrm {
inline namespace nn {

struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};
// The part of 0..total-1 that belongs to a rank. Parts are in the order of the ranks, and their
// sizes differ by at most one.
Range share_of(int64_t total, int rank, int size);

// A rank has not answered within the deadline.
class NoAnswer : public Error {
 public:
  using Error::Error;
};

// A handle: copies belong to the same job. All calls are made by the thread that joined the job.
class Communicator {
 public:
  static constexpr double kDeadline = 600;  // seconds

  // Connects the GPUs of all ranks; null on every rank if it cannot be. Called by all when they are
  // first needed, with this communicator, its transport and its deadline.
  using ConnectGpus = std::function<std::shared_ptr<Transport>(
      const Communicator&, const std::shared_ptr<Transport>&, double)>;

  Communicator() = default;  // one process, alone
  // Every exchange, of which a call makes up to three, waits at most so many seconds for the
  // others.
  explicit Communicator(std::shared_ptr<Transport> transport, double deadline = kDeadline,
                        ConnectGpus connect_gpus = {});

  int rank() const;
  int size() const;
  bool is_first() const { return rank() == 0; }

  // Where the program is ("step 41"): part of the message if a rank does not answer.
  void at(const std::string& where) const;

  // All of these throw Error (NoAnswer) if a rank does not answer in time, with the rank and where
  // it was heard of last, or if a rank has left, with its reason.
  void barrier() const;
  // The texts of all ranks in their order, on every rank.
  std::vector<std::string> gather(const std::string& own) const;
  // Those of the first rank, on every rank.
  std::string broadcast(const std::string& text) const;
  // Written in place; same shape and type on every rank.
  void broadcast(const Tensor& values) const;
  // The rows of all ranks in their order, along dimension 0, on every rank. The numbers of rows may
  // differ; all else must agree.
  Tensor gather(const Tensor& rows) const;
  // The sum over all ranks in their order, of few numbers. Large sums: TreeSum (tree_sum.h).
  Tensor sum(const Tensor& values) const;
  // The same in place (contiguous, f32, f64 or bf16), by the engine's own quickest way: the last
  // digits may differ from one job to the next.
  void fast_sum(const Tensor& values) const;

  // Whether exchange() reaches the memory of this device; asked by all ranks. Where it does not,
  // the calls above copy tensors to the host and back.
  bool reaches(Device device) const;
  // What most of the above is made of, see Transport::exchange.
  void exchange(std::span<const Transport::Outgoing> out, std::span<const Transport::Incoming> in,
                Device device = Device::cpu) const;
  // Tells the others that this process fails, and why. False if they cannot be told.
  bool leave(const std::string& why) const noexcept;

 private:
  Transport& between(Device device) const;
  void check_answers(const std::vector<int>& missing) const;

  struct Job;
  std::shared_ptr<Job> job_;  // null: alone
};

}  // namespace nn
}  // namespace hrm

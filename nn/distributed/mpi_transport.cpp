#include "nn/distributed/mpi_transport.h"

#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "kernels/types.h"

namespace hrm {
namespace {

using Clock = std::chrono::steady_clock;

void check(int code) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  HRM_CHECK(false, "[mpi] ", std::string(text, static_cast<size_t>(length)));
}

// Waits a little between two looks at whether something has come: first for the processor's next
// chance, which is quickest, and then for longer and longer, so that whoever is waited for can
// have the core.
class Patience {
 public:
  void wait() {
    constexpr int kYields = 200;
    constexpr auto kLongest = std::chrono::microseconds(1000);
    if (++looks_ <= kYields) {
      ::sched_yield();
      return;
    }
    std::this_thread::sleep_for(nap_);
    nap_ = std::min(2 * nap_, kLongest);
  }

 private:
  int looks_ = 0;
  std::chrono::microseconds nap_{20};
};

class MpiTransport : public Transport {
 public:
  MpiTransport() {
    int got = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &got));
    check(MPI_Comm_dup(MPI_COMM_WORLD, &data_));
    check(MPI_Comm_dup(MPI_COMM_WORLD, &notices_));
    for (const MPI_Comm comm : {data_, notices_})
      check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN));
    check(MPI_Comm_rank(data_, &rank_));
    check(MPI_Comm_size(data_, &size_));
  }
  // MPI_Finalize waits for all ranks, which would be forever once the job has failed.
  ~MpiTransport() override {
    if (!failed_) MPI_Finalize();
  }
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::vector<int> exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                            double seconds) override {
    Requests requests;
    for (const Incoming& part : in)
      each_chunk(part.bytes, [&](size_t begin, int bytes) {
        check(MPI_Irecv(static_cast<char*>(part.data) + begin, bytes, MPI_BYTE, part.from, 0, data_,
                        requests.add(part.from)));
      });
    for (const Outgoing& part : out)
      each_chunk(part.bytes, [&](size_t begin, int bytes) {
        check(MPI_Isend(static_cast<const char*>(part.data) + begin, bytes, MPI_BYTE, part.to, 0,
                        data_, requests.add(part.to)));
      });
    try {
      const std::vector<int> missing = finish(requests, seconds);
      failed_ = !missing.empty();
      return missing;
    } catch (...) {
      failed_ = true;
      throw;
    }
  }

  void leave(const std::string& why) noexcept override {
    failed_ = true;
    std::vector<MPI_Request> requests(size_, MPI_REQUEST_NULL);
    for (int other = 0; other < size_; ++other)
      if (other != rank_)
        MPI_Isend(why.data(), static_cast<int>(std::min(why.size(), kLongestReason)), MPI_CHAR,
                  other, 0, notices_, &requests[other]);
    const auto end = Clock::now() + std::chrono::seconds(1);
    int done = 0;
    for (Patience patience; done == 0 && Clock::now() < end; patience.wait())
      if (MPI_Testall(size_, requests.data(), &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS) return;
  }

 private:
  static constexpr size_t kLongestReason = 4096;

  struct Requests {
    Requests() = default;
    Requests(const Requests&) = delete;
    Requests& operator=(const Requests&) = delete;
    std::vector<MPI_Request> all;
    std::vector<int> ranks;  // whom each is from or to
    // What is given up must not write into memory that goes away.
    ~Requests() {
      for (MPI_Request& request : all) {
        if (request == MPI_REQUEST_NULL) continue;
        MPI_Cancel(&request);
        MPI_Request_free(&request);
      }
    }
    MPI_Request* add(int rank) {
      ranks.push_back(rank);
      return &all.emplace_back(MPI_REQUEST_NULL);
    }
  };

  // MPI counts in int: what is longer goes in pieces.
  template <class Visit>
  static void each_chunk(size_t bytes, const Visit& visit) {
    constexpr size_t kChunk = size_t{1} << 30;
    size_t begin = 0;
    do {
      const size_t length = std::min(kChunk, bytes - begin);
      visit(begin, static_cast<int>(length));
      begin += length;
    } while (begin < bytes);
  }

  std::vector<int> finish(Requests& requests, double seconds) {
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    const auto count = static_cast<int>(requests.all.size());
    for (Patience patience;; patience.wait()) {
      int done = 0;
      check(MPI_Testall(count, requests.all.data(), &done, MPI_STATUSES_IGNORE));
      if (done) return {};
      look_for_leavers();
      if (Clock::now() >= end) break;
    }
    std::set<int> missing;
    for (size_t i = 0; i < requests.all.size(); ++i) {
      int done = 0;
      check(MPI_Test(&requests.all[i], &done, MPI_STATUS_IGNORE));
      if (!done) missing.insert(requests.ranks[i]);
    }
    return {missing.begin(), missing.end()};
  }

  void look_for_leavers() const {
    int there = 0, length = 0;
    MPI_Status status;
    check(MPI_Iprobe(MPI_ANY_SOURCE, 0, notices_, &there, &status));
    if (!there) return;
    check(MPI_Get_count(&status, MPI_CHAR, &length));
    std::string why(length, ' ');
    check(
        MPI_Recv(why.data(), length, MPI_CHAR, status.MPI_SOURCE, 0, notices_, MPI_STATUS_IGNORE));
    HRM_CHECK(false, "rank ", status.MPI_SOURCE, " has left: ", why);
  }

  MPI_Comm data_ = MPI_COMM_NULL, notices_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  bool failed_ = false;
};

}  // namespace

std::shared_ptr<Transport> join_mpi() { return std::make_shared<MpiTransport>(); }

}  // namespace hrm

#include "nn/distributed/mpi_transport.h"

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <set>

#include "nn/distributed/patience.h"

namespace hrm {
inline namespace nn {
namespace {

using Clock = std::chrono::steady_clock;

void check(int code) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  HRM_CHECK(false, "[mpi] ", std::string(text, static_cast<size_t>(length)));
}

// The sum of bf16, which MPI does not know: they travel as integers.
void add_bf16(void* from, void* to, int* count, MPI_Datatype*) {
  const auto* values = static_cast<const bfloat16*>(from);
  auto* sums = static_cast<bfloat16*>(to);
  for (int i = 0; i < *count; ++i)
    sums[i] = bfloat16(static_cast<float>(sums[i]) + static_cast<float>(values[i]));
}

class MpiTransport : public Transport {
 public:
  MpiTransport() {
    int got = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &got));
    // Errors of calls without a communicator go to one of the first two.
    for (const MPI_Comm comm : {MPI_COMM_WORLD, MPI_COMM_SELF})
      check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN));
    check(MPI_Comm_dup(MPI_COMM_WORLD, &data_));
    check(MPI_Comm_dup(MPI_COMM_WORLD, &notices_));
    check(MPI_Comm_rank(data_, &rank_));
    check(MPI_Comm_size(data_, &size_));
    check(MPI_Op_create(add_bf16, /*commute=*/1, &add_bf16_));
  }
  // MPI_Finalize waits for all ranks, which would be forever once the job has failed.
  ~MpiTransport() override {
    if (!failed_ && std::uncaught_exceptions() == 0 && all_have_come()) MPI_Finalize();
  }
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::vector<int> exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                            double seconds) override {
    Requests requests;
    try {
      post(requests, out, in);
      const std::vector<int> missing = finish(requests, seconds);
      if (!missing.empty()) give_up(requests);
      return missing;
    } catch (...) {
      give_up(requests);
      throw;
    }
  }

  std::vector<int> sum(void* values, DType dtype, int64_t count, double seconds) override {
    Requests requests;
    try {
      const auto* end = static_cast<char*>(values) + count * size_of(dtype);
      for (auto* at = static_cast<char*>(values); at < end;) {
        const int64_t left = (end - at) / static_cast<int64_t>(size_of(dtype));
        const auto length = static_cast<int>(std::min<int64_t>(left, kMostAtOnce));
        check(MPI_Iallreduce(MPI_IN_PLACE, at, length, type_of(dtype),
                             dtype == DType::bf16 ? add_bf16_ : MPI_SUM, data_,
                             requests.add(rank_, 0, false)));
        at += length * size_of(dtype);
      }
      if (finish(requests, seconds).empty()) return {};
      give_up(requests);
    } catch (...) {
      give_up(requests);
      throw;
    }
    return others();
  }

  void check_left() override {
    look_for_leavers();
    // Whoever leaves has sent what it had to: where all fail alike, each gets so far by itself.
    if (!notice_.empty() && Clock::now() >= noticed_ + kGrace) throw Error(notice_);
  }

  bool leave(const std::string& why) noexcept override {
    failed_ = true;
    if (abandoned_) return true;
    std::vector<MPI_Request> notices(size_, MPI_REQUEST_NULL);
    // Synchronous: done when it was received, and not when it is on its way.
    for (int other = 0; other < size_; ++other)
      if (other != rank_)
        MPI_Issend(why.data(), static_cast<int>(std::min(why.size(), kLongestReason)), MPI_CHAR,
                   other, 0, notices_, &notices[other]);
    wait_for(notices, kFarewell);
    return true;
  }

 private:
  static constexpr size_t kLongestReason = 4096;

  static constexpr int64_t kMostAtOnce = 1 << 28;  // elements of a sum
  static constexpr double kFarewell = 1;           // seconds
  static constexpr auto kGrace = std::chrono::milliseconds(500);

  struct Requests {
    std::vector<MPI_Request> all;
    std::vector<MPI_Status> statuses;  // of all, once they are done
    struct Part {
      int rank;  // whom it is from or to
      int bytes;
      bool incoming;
    };
    std::vector<Part> parts;
    MPI_Request* add(int rank, int bytes, bool incoming) {
      parts.push_back({rank, bytes, incoming});
      return &all.emplace_back(MPI_REQUEST_NULL);
    }
  };

  static MPI_Datatype type_of(DType dtype) {
    if (dtype == DType::f32) return MPI_FLOAT;
    if (dtype == DType::f64) return MPI_DOUBLE;
    HRM_CHECK(dtype == DType::bf16, "[distributed] sums are of f32, f64 or bf16");
    return MPI_UINT16_T;
  }

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

  void post(Requests& requests, std::span<const Outgoing> out, std::span<const Incoming> in) {
    for (const Incoming& part : in)
      each_chunk(part.bytes, [&](size_t begin, int bytes) {
        check(MPI_Irecv(static_cast<char*>(part.data) + begin, bytes, MPI_BYTE, part.from, 0, data_,
                        requests.add(part.from, bytes, true)));
      });
    for (const Outgoing& part : out)
      each_chunk(part.bytes, [&](size_t begin, int bytes) {
        check(MPI_Isend(static_cast<const char*>(part.data) + begin, bytes, MPI_BYTE, part.to, 0,
                        data_, requests.add(part.to, bytes, false)));
      });
  }

  std::vector<int> finish(Requests& requests, double seconds) {
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    const auto count = static_cast<int>(requests.all.size());
    requests.statuses.resize(requests.all.size());
    for (Patience patience;; patience.wait()) {
      int done = 0;
      const int code = MPI_Testall(count, requests.all.data(), &done, requests.statuses.data());
      check_statuses(requests, code, done != 0);
      if (done) return {};
      check_left();
      if (Clock::now() >= end) break;
    }
    std::set<int> missing;
    for (size_t i = 0; i < requests.all.size(); ++i) {
      int done = 0;
      check(MPI_Test(&requests.all[i], &done, MPI_STATUS_IGNORE));
      if (!done) missing.insert(requests.parts[i].rank);
    }
    return {missing.begin(), missing.end()};
  }

  // Throws unless every message that has come is as long as it should be.
  static void check_statuses(const Requests& requests, int code, bool done) {
    if (code != MPI_SUCCESS && code != MPI_ERR_IN_STATUS) check(code);
    for (size_t i = 0; i < requests.all.size(); ++i) {
      const auto& [rank, bytes, incoming] = requests.parts[i];
      const MPI_Status& status = requests.statuses[i];
      int came = bytes;
      if (code == MPI_ERR_IN_STATUS && status.MPI_ERROR != MPI_ERR_PENDING) {
        int kind = MPI_SUCCESS;
        MPI_Error_class(status.MPI_ERROR, &kind);
        if (kind != MPI_ERR_TRUNCATE) check(status.MPI_ERROR);
        came = bytes + 1;
      } else if (done && incoming) {
        check(MPI_Get_count(&status, MPI_BYTE, &came));
      }
      HRM_CHECK(
          came == bytes, "[distributed] rank ", rank, " has sent ", came > bytes ? "more" : "fewer",
          " than the ", bytes,
          " bytes expected. HINT: do all processes run the same program with the same options?");
    }
  }

  // After a failure, before the memory of its messages goes away: ends what is under way. What does
  // not end must not move on, so that MPI is never called again.
  void give_up(Requests& requests) {
    failed_ = true;
    for (size_t i = 0; i < requests.all.size(); ++i)
      if (requests.parts[i].incoming && requests.all[i] != MPI_REQUEST_NULL)
        MPI_Cancel(&requests.all[i]);
    abandoned_ = !wait_for(requests.all, kFarewell);
  }

  // Whether all of them were done within so many seconds.
  static bool wait_for(std::vector<MPI_Request>& requests, double seconds) {
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    for (Patience patience; Clock::now() < end; patience.wait()) {
      int done = 0;
      if (MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done,
                      MPI_STATUSES_IGNORE) != MPI_SUCCESS)
        return false;
      if (done) return true;
    }
    return false;
  }

  // At the end: whether the others have come to it, too.
  bool all_have_come() {
    constexpr double kLongest = 600;  // seconds
    std::vector<MPI_Request> barrier(1, MPI_REQUEST_NULL);
    if (MPI_Ibarrier(data_, barrier.data()) != MPI_SUCCESS) return false;
    const auto end = Clock::now() + std::chrono::duration<double>(kLongest);
    try {
      for (Patience patience; Clock::now() < end; patience.wait()) {
        int done = 0;
        check(MPI_Test(barrier.data(), &done, MPI_STATUS_IGNORE));
        if (done) return true;
        look_for_leavers();
        if (!notice_.empty()) return false;
      }
    } catch (const Error&) {
    }
    return false;
  }

  void look_for_leavers() {
    if (!notice_.empty()) return;
    int there = 0, length = 0;
    MPI_Status status;
    check(MPI_Iprobe(MPI_ANY_SOURCE, 0, notices_, &there, &status));
    if (!there) return;
    check(MPI_Get_count(&status, MPI_CHAR, &length));
    std::string why(length, ' ');
    check(
        MPI_Recv(why.data(), length, MPI_CHAR, status.MPI_SOURCE, 0, notices_, MPI_STATUS_IGNORE));
    notice_ = "[distributed] rank " + std::to_string(status.MPI_SOURCE) + " has left: " + why;
    noticed_ = Clock::now();
  }

  MPI_Comm data_ = MPI_COMM_NULL, notices_ = MPI_COMM_NULL;
  MPI_Op add_bf16_ = MPI_OP_NULL;
  int rank_ = 0, size_ = 1;
  std::string notice_;  // of the first who has left, and when it came
  Clock::time_point noticed_;
  bool failed_ = false;
  bool abandoned_ = false;  // messages are under way whose memory is gone
};

}  // namespace

std::shared_ptr<Transport> join_mpi() { return std::make_shared<MpiTransport>(); }

}  // namespace nn
}  // namespace hrm

#include "tests/support/local_job.h"

#include <omp.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <queue>
#include <set>
#include <thread>

namespace hrm::test {
namespace {

struct Mail {
  std::mutex mutex;
  std::condition_variable arrived;
  std::map<std::pair<int, int>, std::queue<std::string>> letters;  // by (from, to)
  std::string left;                                                // why somebody left the job
};

// The lock of a rank on the mail: held all the time if ranks take turns, but while it waits.
using Lock = std::unique_lock<std::mutex>;

class LocalTransport : public Transport {
 public:
  LocalTransport(Mail& mail, Lock& lock, int rank, int size)
      : mail_(mail), lock_(lock), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::vector<int> exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                            double seconds) override {
    const Held held(lock_);
    for (const Outgoing& part : out)
      mail_.letters[{rank_, part.to}].emplace(static_cast<const char*>(part.data), part.bytes);
    mail_.arrived.notify_all();
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    std::set<int> missing;
    for (const Incoming& part : in) {
      auto& letters = mail_.letters[{part.from, rank_}];
      mail_.arrived.wait_until(lock_, end, [&] { return !letters.empty() || !mail_.left.empty(); });
      if (letters.empty()) {
        HRM_CHECK(mail_.left.empty(), mail_.left);
        missing.insert(part.from);
        continue;
      }
      HRM_CHECK(letters.front().size() == part.bytes, "rank ", part.from, " sent ",
                letters.front().size(), " bytes, expected ", part.bytes);
      std::memcpy(part.data, letters.front().data(), part.bytes);
      letters.pop();
    }
    return {missing.begin(), missing.end()};
  }

  // In the order of the ranks.
  std::vector<int> sum(void* values, DType dtype, int64_t count, double seconds) override {
    const Tensor all = empty({size_, count}, dtype);
    const auto row = [&](int rank) { return all.slice(0, rank, rank + 1); };
    std::memcpy(row(rank_).data(), values, row(rank_).nbytes());
    std::vector<Outgoing> out;
    std::vector<Incoming> in;
    for (int other = 0; other < size_; ++other) {
      if (other == rank_) continue;
      out.push_back({other, row(rank_).data(), row(rank_).nbytes()});
      in.push_back({other, row(other).data(), row(other).nbytes()});
    }
    const std::vector<int> missing = exchange(out, in, seconds);
    const Tensor total = all.sum(0, false);
    if (missing.empty()) std::memcpy(values, total.data(), total.nbytes());
    return missing;
  }

  // If ranks take turns, it is now that of the others.
  void check_left() override {
    if (lock_.owns_lock()) {
      lock_.unlock();
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      lock_.lock();
    }
    const Held held(lock_);
    HRM_CHECK(mail_.left.empty(), mail_.left);
  }

  bool leave(const std::string& why) noexcept override {
    const Held held(lock_);
    if (mail_.left.empty())
      mail_.left = "[distributed] rank " + std::to_string(rank_) + " has left: " + why;
    mail_.arrived.notify_all();
    return true;
  }

 private:
  class Held {
   public:
    explicit Held(Lock& lock) : lock_(lock), mine_(!lock.owns_lock()) {
      if (mine_) lock_.lock();
    }
    ~Held() {
      if (mine_) lock_.unlock();
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    Lock& lock_;
    bool mine_;
  };

  Mail& mail_;
  Lock& lock_;
  int rank_, size_;
};

}  // namespace

std::vector<std::string> run_ranks(int size, const std::function<void(Communicator)>& work,
                                   double deadline, Turns turns,
                                   const Communicator::ConnectGpus& connect_gpus) {
  Mail mail;
  std::vector<std::string> thrown(size);
  std::vector<std::thread> threads;
  threads.reserve(size);
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      omp_set_num_threads(1);
      Lock lock(mail.mutex, std::defer_lock);
      if (turns == Turns::in_turn) lock.lock();
      Communicator ranks(std::make_shared<LocalTransport>(mail, lock, rank, size), deadline,
                         connect_gpus);
      try {
        work(ranks);
      } catch (const Error& error) {
        thrown[rank] = error.what();
        ranks.leave(error.what());
      }
    });
  for (std::thread& thread : threads) thread.join();
  return thrown;
}

}  // namespace hrm::test

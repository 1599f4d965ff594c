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

class LocalTransport : public Transport {
 public:
  LocalTransport(Mail& mail, int rank, int size) : mail_(mail), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::vector<int> exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                            double seconds) override {
    std::unique_lock lock(mail_.mutex);
    for (const Outgoing& part : out)
      mail_.letters[{rank_, part.to}].emplace(static_cast<const char*>(part.data), part.bytes);
    mail_.arrived.notify_all();
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    std::set<int> missing;
    for (const Incoming& part : in) {
      auto& letters = mail_.letters[{part.from, rank_}];
      mail_.arrived.wait_until(lock, end, [&] { return !letters.empty() || !mail_.left.empty(); });
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

  void leave(const std::string& why) noexcept override {
    const std::lock_guard lock(mail_.mutex);
    if (mail_.left.empty())
      mail_.left = "[distributed] rank " + std::to_string(rank_) + " has left: " + why;
    mail_.arrived.notify_all();
  }

 private:
  Mail& mail_;
  int rank_, size_;
};

}  // namespace

std::vector<std::string> run_ranks(int size, const std::function<void(Communicator)>& work,
                                   double deadline) {
  Mail mail;
  std::vector<std::string> thrown(size);
  std::vector<std::thread> threads;
  threads.reserve(size);
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      omp_set_num_threads(1);
      Communicator ranks(std::make_shared<LocalTransport>(mail, rank, size), deadline);
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

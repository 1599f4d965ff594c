#include "hrm/cli/on_ranks.h"

#include <fcntl.h>
#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <optional>
#include <thread>

#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "kernels/device.h"
#include "kernels/instruction_sets.h"
#include "nn/distributed/job.h"

namespace hrm {
namespace {

// While it lives, nothing that this process prints is seen.
class Silence {
 public:
  Silence() {
    flush();
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
      kept_[stream] = ::fcntl(stream, F_DUPFD_CLOEXEC, 3);
      if (nowhere >= 0 && kept_[stream] >= 0) ::dup2(nowhere, stream);
    }
    if (nowhere >= 0) ::close(nowhere);
  }
  ~Silence() {
    flush();
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
      if (kept_[stream] < 0) continue;
      ::dup2(kept_[stream], stream);
      ::close(kept_[stream]);
    }
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  static void flush() {
    std::fflush(stdout);
    std::fflush(stderr);
  }
  std::array<int, 3> kept_ = {-1, -1, -1};
};

// The cores that this process may use, as text.
std::string core_mask() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  ::sched_getaffinity(0, sizeof mask, &mask);
  std::string text(CPU_SETSIZE, '0');
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &mask)) text[cpu] = '1';
  return text;
}

// The names of the machines that the ranks are on.
std::vector<std::string> hosts_of(const Communicator& ranks) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return ranks.gather(host.data());
}

// Each of the ranks on a machine computes on a GPU of its own, as far as there are so many. (Where
// the launcher shows each process a single GPU, that one is the first.)
void share_gpus(const Communicator& ranks, const std::vector<std::string>& hosts) {
  const auto own = hosts.begin() + ranks.rank();
  runtime::choose_device(Device::cuda, static_cast<int>(std::count(hosts.begin(), own, *own)));
}

// Launchers may give each process cores of its own, or several the same: these share them out.
void share_cores(const Communicator& ranks, const std::vector<std::string>& hosts) {
  if (std::getenv("OMP_NUM_THREADS")) return;
  const std::vector<std::string> cores = ranks.gather(core_mask());
  const std::string& own = cores[ranks.rank()];
  int64_t sharers = 0;
  for (int other = 0; other < ranks.size(); ++other) {
    bool common = false;
    for (size_t cpu = 0; cpu < own.size(); ++cpu)
      common = common || (own[cpu] == '1' && cores[other][cpu] == '1');
    sharers += common && hosts[other] == hosts[ranks.rank()];
  }
  const int64_t mine = std::ranges::count(own, '1') / std::max<int64_t>(1, sharers);
  omp_set_num_threads(static_cast<int>(std::max<int64_t>(1, mine)));
}

// Other instructions round otherwise: a run would depend on which rank computes what.
void check_same_program(const Communicator& ranks) {
  const std::string own =
      fmt::format("hrm {} with the instruction set {}", kVersion, name_of(instruction_set()));
  const std::vector<std::string> all = ranks.gather(own);
  for (size_t rank = 1; rank < all.size(); ++rank)
    HRM_CHECK(
        all[rank] == all.front(), "[distributed] rank ", rank, " is ", all[rank],
        ", and the first rank ", all.front(),
        ". HINT: the same program everywhere; HRM_ISA names an instruction set that all have");
}

// Does the work. The status that it ends with, which a signal to one rank gives to all.
int64_t status_of(const Communicator& ranks,
                  const std::function<void(const Communicator& ranks)>& work) {
  int64_t own = 0;
  try {
    work(ranks);
  } catch (const ExitStatus& exit) {
    own = exit.status;
  }
  int64_t status = 0;
  for (const std::string& other : ranks.gather(std::to_string(own)))
    status = std::max<int64_t>(status, std::stoll(other));
  return status;
}

}  // namespace

void run_on_ranks(const std::function<void(const Communicator& ranks)>& work) {
  Communicator ranks = join_job();
  if (ranks.size() == 1) return work(ranks);
  const bool first = ranks.is_first();
  std::optional<Silence> silence;
  if (!first) silence.emplace();
  int64_t status = 0;
  try {
    check_same_program(ranks);
    const std::vector<std::string> hosts = hosts_of(ranks);
    share_gpus(ranks, hosts);
    share_cores(ranks, hosts);
    status = status_of(ranks, work);
  } catch (const NoAnswer& error) {
    ranks.leave(error.what());
    throw;
  } catch (const std::exception& error) {
    const bool memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
    const bool heard = ranks.leave(memory ? "[allocate] out of memory" : error.what());
    if (first || !heard) throw;
    // The launcher ends all as soon as one has failed: only after the first has said why.
    std::this_thread::sleep_for(std::chrono::seconds(5));
    throw ExitStatus{kExitError};
  }
  std::fflush(stdout);
  ranks = {};  // the job ends in order before a process ends with a status that is not zero
  if (status != 0) throw ExitStatus{static_cast<int>(status)};
}

void check_same_evaluation(const Communicator& ranks, const LoadedRun& run,
                           const PuzzleDataset& data) {
  if (ranks.size() == 1) return;
  const auto check = [&](const char* what, const std::string& own, const char* hint) {
    const std::vector<std::string> all = ranks.gather(own);
    for (size_t rank = 1; rank < all.size(); ++rank)
      HRM_CHECK(all[rank] == all.front(), "[eval] rank ", rank, " has ", what,
                " than the first rank. HINT: ", hint);
  };
  ranks.at("the evaluation");
  check("other options", command_line(), "start all processes with the same command line");
  check("other weights", run.checksum, "all processes must see the same run folder");
  check("another data set", data.identity(), "all processes must see the same data set");
}

Shard shard_of_process(const std::optional<Shard>& given) {
  const Shard launched = {launched_rank() + 1, launched_processes()};
  keep_launcher_from_children();
  if (given) return *given;
  HRM_CHECK(launched.index <= launched.count, "[distributed] the launcher has started ",
            launched.count, " processes, and calls this one number ", launched.index,
            ". HINT: --shard I/N says which part of the work is whose");
  return launched;
}

}  // namespace hrm

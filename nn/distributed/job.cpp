#include "nn/distributed/job.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>

#ifdef HRM_WITH_MPI
#include "nn/distributed/mpi_transport.h"
#endif

namespace hrm {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// A number of the environment; 0 if it is not there or no number.
double number(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' && std::isfinite(value) ? value : 0;
}

double deadline() {
  const std::string text = environment("HRM_TIMEOUT");
  if (text.empty()) return Communicator::kDeadline;
  const double seconds = number(text);
  HRM_CHECK(seconds > 0, "[distributed] HRM_TIMEOUT must be a number of seconds above 0, got '",
            text, "'");
  return seconds;
}

// What launchers say to a process. The same place in the first two lists is the same launcher; the
// third holds the signs of a way to connect processes.
constexpr std::array kSizes = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
constexpr std::array kRanks = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"};
constexpr std::array kConnections = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};

// Whether a launcher offers a way to connect processes (PMIx or PMI), as mpirun and srun --mpi=...
// do. Starting MPI without one costs time and connects nothing.
[[maybe_unused]] bool has_launcher() {
  return std::ranges::any_of(kConnections, [](const char* name) { return std::getenv(name); });
}

// The number that the launcher gives under one of these names, of at least `least`.
int64_t launched(const std::array<const char*, 3>& names, int64_t least) {
  for (const char* name : names)
    if (const std::string text = environment(name); !text.empty() && number(text) >= least)
      return static_cast<int64_t>(number(text));
  return least;
}

}  // namespace

int64_t launched_processes() { return launched(kSizes, 1); }

int64_t launched_rank() { return launched(kRanks, 0); }

void keep_launcher_from_children() {
  for (const auto& names : {kSizes, kRanks, kConnections})
    for (const char* name : names) ::unsetenv(name);
}

#ifdef HRM_WITH_MPI

std::string distributed_engines() { return "MPI"; }

Communicator join_job() {
  const double seconds = deadline();
  HRM_CHECK(has_launcher() || launched_processes() == 1, "[distributed] the launcher has started ",
            launched_processes(),
            " processes, but offers no way to connect them. HINT: srun --mpi=pmix, or mpirun (a "
            "single process in a shell that srun started: unset SLURM_STEP_NUM_TASKS)");
  if (!has_launcher()) return {};
  const std::shared_ptr<Transport> transport = join_mpi();
  HRM_CHECK(transport->size() > 1 || launched_processes() == 1,
            "[distributed] the launcher has started ", launched_processes(),
            " processes, and MPI connects none of them. HINT: the mpirun of the MPI "
            "that this program was built with, or srun --mpi=pmix");
  return Communicator(transport, seconds);
}

#else

std::string distributed_engines() { return "none"; }

Communicator join_job() {
  deadline();
  HRM_CHECK(launched_processes() == 1, "[distributed] the launcher has started ",
            launched_processes(),
            " processes, and this program cannot connect them. HINT: build it with make MPI=1 (a "
            "single process in a shell that srun started: unset SLURM_STEP_NUM_TASKS)");
  return {};
}

#endif

}  // namespace hrm

#include "nn/distributed/job.h"

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

// Whether a launcher offers a way to connect processes (PMIx or PMI), as mpirun and srun --mpi=...
// do. Starting MPI without one costs time and connects nothing.
[[maybe_unused]] bool has_launcher() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"})
    if (std::getenv(name)) return true;
  return false;
}

}  // namespace

int64_t launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    if (const double n = number(environment(name)); n >= 1) return static_cast<int64_t>(n);
  return 1;
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

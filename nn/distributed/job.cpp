#include "nn/distributed/job.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "kernels/device.h"
#ifdef HRM_WITH_MPI
#include "nn/distributed/mpi_transport.h"
#endif
#ifdef HRM_WITH_NCCL
#include "nn/distributed/nccl_transport.h"
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

// What launchers say to a process: how many there are, and which it is.
struct Launcher {
  const char* size;
  const char* rank;
};
constexpr std::array<Launcher, 3> kLaunchers = {{{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                                                 {"PMI_SIZE", "PMI_RANK"},
                                                 {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}}};
// The same of PyTorch's torchrun. These names say little by themselves: where it is, there is also
// an address.
constexpr Launcher kTorchrun = {"WORLD_SIZE", "RANK"};
// The signs of a way to connect processes.
constexpr std::array kConnections = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};

bool has_torchrun() {
  return !environment("MASTER_ADDR").empty() && number(environment("MASTER_PORT")) > 0 &&
         !environment(kTorchrun.rank).empty() && number(environment(kTorchrun.size)) > 1;
}

// Whether a launcher offers a way to connect processes (PMIx or PMI), as mpirun and srun --mpi=...
// do. Starting MPI without one costs time and connects nothing.
[[maybe_unused]] bool has_launcher() {
  return std::ranges::any_of(kConnections, [](const char* name) { return std::getenv(name); });
}

// The number that the launcher gives under this name, of at least `least`.
int64_t launched(const char* Launcher::*name, int64_t least) {
  for (const Launcher& launcher : kLaunchers)
    if (const std::string text = environment(launcher.*name);
        !text.empty() && number(text) >= least)
      return static_cast<int64_t>(number(text));
  return has_torchrun() ? static_cast<int64_t>(number(environment(kTorchrun.*name))) : least;
}

// Why processes that something has started are not connected, and what to do.
[[maybe_unused]] void refuse_several(const char* why, const char* hint) {
  HRM_CHECK(launched_processes() == 1, "[distributed] the launcher has started ",
            launched_processes(), " processes, ", why, ". HINT: ", hint,
            " (a single process in a shell that a launcher started: unset ",
            has_torchrun() ? kTorchrun.size : "SLURM_STEP_NUM_TASKS", ")");
}

#ifdef HRM_WITH_NCCL
// torchrun's own address is taken by its store: NCCL meets at the next port.
Communicator join_torchrun(double seconds) {
  std::string host = environment("MASTER_ADDR");
  if (host.find(':') != std::string::npos) host = "[" + host + "]";  // IPv6
  const auto port = static_cast<int64_t>(number(environment("MASTER_PORT")));
  runtime::choose_device(Device::cuda, static_cast<int>(number(environment("LOCAL_RANK"))));
  runtime::require_device(Device::cuda);
  return join_over_nccl(host + ":" + std::to_string(port + 1), static_cast<int>(launched_rank()),
                        static_cast<int>(launched_processes()), seconds);
}
#endif

#ifdef HRM_WITH_MPI
Communicator join_launcher(double seconds) {
  const std::shared_ptr<Transport> transport = join_mpi();
  if (transport->size() == 1)
    refuse_several("and MPI connects none of them",
                   "the mpirun of the MPI that this program was built with, or srun --mpi=pmix");
#ifdef HRM_WITH_NCCL
  return Communicator(transport, seconds, connect_gpus_over_nccl);
#else
  return Communicator(transport, seconds);
#endif
}
#endif

}  // namespace

int64_t launched_processes() { return launched(&Launcher::size, 1); }

int64_t launched_rank() { return launched(&Launcher::rank, 0); }

void keep_launcher_from_children() {
  for (const Launcher& launcher : kLaunchers) {
    ::unsetenv(launcher.size);
    ::unsetenv(launcher.rank);
  }
  ::unsetenv(kTorchrun.size);
  ::unsetenv(kTorchrun.rank);
  for (const char* name : kConnections) ::unsetenv(name);
}

std::string distributed_engines() {
  std::string engines;
#ifdef HRM_WITH_MPI
  engines = "MPI";
#endif
#ifdef HRM_WITH_NCCL
  engines += engines.empty() ? "NCCL" : " and NCCL";
#endif
  return engines.empty() ? "none" : engines;
}

Communicator join_job() {
  [[maybe_unused]] const double seconds = deadline();
#ifdef HRM_WITH_MPI
  if (has_launcher()) return join_launcher(seconds);
#endif
#ifdef HRM_WITH_NCCL
  if (has_torchrun()) return join_torchrun(seconds);
#endif
#ifdef HRM_WITH_MPI
  refuse_several("but offers no way to connect them", "srun --mpi=pmix, or mpirun");
#else
  refuse_several("and this program cannot connect them", "build it with make MPI=1");
#endif
  return {};
}

}  // namespace hrm

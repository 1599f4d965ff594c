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
inline namespace nn {
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

// What a launcher says to a process: how many there are, and which it is.
struct Launcher {
  const char* size;
  const char* rank;
};
constexpr std::array<Launcher, 3> kLaunchers = {{{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                                                 {"PMI_SIZE", "PMI_RANK"},
                                                 {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}}};
// PyTorch's.
constexpr Launcher kTorchrun = {"WORLD_SIZE", "RANK"};
// The signs of a way to connect processes.
constexpr std::array kConnections = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};

// Whether a launcher offers a way to connect processes (PMIx or PMI), as mpirun and srun --mpi=...
// do. Starting MPI without one costs time and connects nothing.
[[maybe_unused]] bool has_mpi_launcher() {
  return std::ranges::any_of(kConnections, [](const char* name) { return std::getenv(name); });
}

// torchrun's names say little by themselves: where it is, there is also an address. It may run
// inside the job of another launcher, and then leaves a sign that others do not.
bool has_torchrun() {
  return !environment("MASTER_ADDR").empty() && number(environment("MASTER_PORT")) > 0 &&
         !environment(kTorchrun.rank).empty() && number(environment(kTorchrun.size)) > 0 &&
         (!environment("TORCHELASTIC_RUN_ID").empty() || !has_mpi_launcher());
}

// The launcher that has started this process, as its words tell; null without one.
const Launcher* launcher() {
  if (has_torchrun()) return &kTorchrun;
  for (const Launcher& each : kLaunchers)
    if (number(environment(each.size)) >= 1) return &each;
  return nullptr;
}

// Why processes that something has started are not connected, and what to do.
[[maybe_unused]] void refuse_several(const std::string& why, const std::string& hint) {
  HRM_CHECK(launched_processes() == 1, "[distributed] the launcher has started ",
            launched_processes(), " processes, ", why, ". HINT: ", hint,
            " (a single process in a shell that a launcher started: unset ", launcher()->size, ")");
}

#ifdef HRM_WITH_NCCL
// torchrun's own address is taken by its store: NCCL meets at the next port.
Communicator join_torchrun(double seconds) {
  std::string host = environment("MASTER_ADDR");
  if (host.find(':') != std::string::npos) host = "[" + host + "]";  // IPv6
  const auto port = static_cast<int64_t>(number(environment("MASTER_PORT")));
  runtime::choose_device(Device::cuda, static_cast<int>(number(environment("LOCAL_RANK"))));
  try {
    runtime::require_device(Device::cuda);
  } catch (const Error&) {
    detail::fail(
        "[distributed] processes of torchrun talk by way of GPUs, and this one has none that it "
        "can use. HINT: mpirun, with a program from make MPI=1, needs none");
  }
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

int64_t launched_processes() {
  const Launcher* own = launcher();
  return own ? static_cast<int64_t>(number(environment(own->size))) : 1;
}

int64_t launched_rank() {
  const Launcher* own = launcher();
  return own ? std::max<int64_t>(0, static_cast<int64_t>(number(environment(own->rank)))) : 0;
}

void keep_launcher_from_children() {
  for (const Launcher& each : kLaunchers) {
    ::unsetenv(each.size);
    ::unsetenv(each.rank);
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
  if (has_torchrun()) {
    if (launched_processes() == 1) return {};
#ifdef HRM_WITH_NCCL
    return join_torchrun(seconds);
#else
    refuse_several("and this program cannot connect those of torchrun",
                   "build it with make CUDA=1 NCCL=1, or with make MPI=1 and start it with mpirun");
#endif
  }
#ifdef HRM_WITH_MPI
  if (has_mpi_launcher()) return join_launcher(seconds);
  refuse_several("but offers no way to connect them", "srun --mpi=pmix, or mpirun");
#else
  refuse_several("and this program cannot connect them", "build it with make MPI=1");
#endif
  return {};
}

}  // namespace nn
}  // namespace hrm

// The stand-in for NCCL, see nccl/nccl.h.
#include "kernels/cuda/emulate/nccl/nccl.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "kernels/cuda/emulate/checker.h"
#include "kernels/cuda/emulate/emulate.h"
#include "kernels/types.h"

namespace {

using Bytes = std::vector<std::byte>;

// What the ranks of a job share.
struct Job {
  int size = 0;
  std::set<int> joined;
  bool aborted = false;
  std::map<std::pair<int, int>, std::deque<Bytes>> letters;  // by (from, to)
  std::map<int64_t, std::map<int, Bytes>> sums;              // by number, then by rank
};
std::mutex mutex;
std::map<std::string, std::shared_ptr<Job>> jobs;  // by id

thread_local int groups = 0;  // that are open

size_t size_of(ncclDataType_t type) {
  return type == ncclInt8 ? 1 : type == ncclBfloat16 ? 2 : type == ncclFloat32 ? 4 : 8;
}

Bytes bytes_at(const void* values, size_t bytes) {
  const auto* begin = static_cast<const std::byte*>(values);
  return {begin, begin + bytes};
}

void write(void* to, const Bytes& bytes) {
  std::memcpy(to, bytes.data(), bytes.size());
  hrm::emulate::checker::written_by_host(to, bytes.size());
}

template <class T>
Bytes sum_of(const std::map<int, Bytes>& parts) {
  Bytes total = parts.begin()->second;
  auto* sums = reinterpret_cast<T*>(total.data());
  for (auto part = std::next(parts.begin()); part != parts.end(); ++part)
    for (size_t i = 0; i < total.size() / sizeof(T); ++i)
      sums[i] = static_cast<T>(sums[i] + reinterpret_cast<const T*>(part->second.data())[i]);
  return total;
}

Bytes sum_of(const std::map<int, Bytes>& parts, ncclDataType_t type) {
  if (type == ncclFloat32) return sum_of<float>(parts);
  if (type == ncclFloat64) return sum_of<double>(parts);
  return sum_of<hrm::bfloat16>(parts);
}

}  // namespace

struct ncclComm {
  std::shared_ptr<Job> job;
  int rank = 0;
  int64_t sums = 0;  // asked for so far
  // What was asked for begins only after the rank has asked so often whether it has been taken.
  int settling = 0;
  std::vector<std::function<bool()>> asked = {};
};

namespace {

constexpr int kSettles = 2;

struct Work {
  ncclComm* comm;
  std::function<bool()> advance;
};
thread_local std::vector<Work> open;  // of the open group

ncclResult_t ask(ncclComm* comm, const std::function<bool()>& advance) {
  comm->asked.push_back(advance);
  comm->settling = kSettles;
  return ncclInProgress;
}

// Work on memory of the device, in a group or by itself; `advance` says whether it is done.
ncclResult_t queue(ncclComm* comm, const void* memory, size_t bytes, bool in_group,
                   const std::function<bool()>& advance) {
  if ((groups > 0) != in_group || comm->settling > 0) return ncclInvalidUsage;
  if (!hrm::emulate::on_device(memory, bytes)) return ncclInvalidArgument;
  if (!in_group) return ask(comm, advance);
  open.push_back({comm, advance});
  return ncclSuccess;
}

}  // namespace

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int64_t made = 0;
  const std::lock_guard lock(mutex);
  *id = {};
  const char* address = std::getenv("NCCL_COMM_ID");
  const std::string text = address ? address : "job " + std::to_string(++made);
  std::memcpy(id->internal, text.c_str(), std::min(text.size() + 1, sizeof id->internal));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (config->blocking != 0) return ncclInvalidArgument;  // would wait for ever
  const std::lock_guard lock(mutex);
  std::shared_ptr<Job>& job = jobs[std::string(id.internal, sizeof id.internal)];
  if (!job) job = std::make_shared<Job>();
  job->size = ranks;
  *comm = new ncclComm{job, rank};
  if (!job->joined.insert(rank).second) return ncclInvalidUsage;
  // The same address can serve another job.
  if (std::ssize(job->joined) == ranks) jobs.erase(std::string(id.internal, sizeof id.internal));
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  if (comm->settling > 0) {
    if (--comm->settling == 0)
      for (const auto& advance : std::exchange(comm->asked, {}))
        hrm::emulate::begin_beside(advance);
    *state = ncclInProgress;
    return ncclSuccess;
  }
  const std::lock_guard lock(mutex);
  const bool waits = std::ssize(comm->job->joined) < comm->job->size;
  *state = comm->job->aborted ? ncclRemoteError : waits ? ncclInProgress : ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  HRM_CHECK(hrm::emulate::done_beside(hrm::emulate::begun_beside()),
            "[emulate] ncclCommFinalize with work under way");
  comm->settling = kSettles;
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  {
    const std::lock_guard lock(mutex);
    comm->job->aborted = true;
  }
  HRM_CHECK(groups == 0, "[emulate] ncclCommAbort in a group");
  hrm::emulate::drop_beside();
  return ncclCommDestroy(comm);
}

const char* ncclGetErrorString(ncclResult_t result) {
  if (result == ncclRemoteError) return "remote error";
  return result == ncclInvalidUsage ? "invalid usage" : "invalid argument";
}

const char* ncclGetLastError(ncclComm_t) { return "refused by the stand-in"; }

ncclResult_t ncclGroupStart() {
  ++groups;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (groups == 0) return ncclInvalidUsage;
  ncclResult_t result = ncclSuccess;
  if (--groups == 0)
    for (const Work& work : std::exchange(open, {})) result = ask(work.comm, work.advance);
  return result;
}

ncclResult_t ncclSend(const void* values, size_t count, ncclDataType_t type, int to,
                      ncclComm_t comm, cudaStream_t) {
  const size_t bytes = count * size_of(type);
  return queue(comm, values, bytes, true, [job = comm->job, rank = comm->rank, values, bytes, to] {
    const std::lock_guard lock(mutex);
    job->letters[{rank, to}].push_back(bytes_at(values, bytes));
    return true;
  });
}

ncclResult_t ncclRecv(void* values, size_t count, ncclDataType_t type, int from, ncclComm_t comm,
                      cudaStream_t) {
  const size_t bytes = count * size_of(type);
  return queue(comm, values, bytes, true,
               [job = comm->job, rank = comm->rank, values, bytes, from] {
                 const std::lock_guard lock(mutex);
                 auto& letters = job->letters[{from, rank}];
                 if (letters.empty()) return false;
                 HRM_CHECK(letters.front().size() == bytes, "[emulate] ncclRecv of ", bytes,
                           " bytes, sent were ", letters.front().size());
                 write(values, letters.front());
                 letters.pop_front();
                 return true;
               });
}

ncclResult_t ncclAllReduce(const void* values, void* sums, size_t count, ncclDataType_t type,
                           ncclRedOp_t, ncclComm_t comm, cudaStream_t) {
  const size_t bytes = count * size_of(type);
  const int64_t number = comm->sums++;
  return queue(comm, values, bytes, false,
               [job = comm->job, rank = comm->rank, number, values, sums, bytes, type] {
                 const std::lock_guard lock(mutex);
                 auto& parts = job->sums[number];
                 parts.try_emplace(rank, bytes_at(values, bytes));
                 if (std::ssize(parts) < job->size) return false;
                 write(sums, sum_of(parts, type));
                 return true;
               });
}

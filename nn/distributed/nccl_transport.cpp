#include "nn/distributed/nccl_transport.h"

#include <nccl.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <utility>

#include "kernels/cuda/runtime.h"
#include "kernels/device.h"
#include "nn/distributed/patience.h"

namespace hrm {
namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point after(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// What the ranks of a job know each other by.
std::string new_id() {
  ncclUniqueId id;
  const ncclResult_t result = ncclGetUniqueId(&id);
  HRM_CHECK(result == ncclSuccess, "[nccl] ", ncclGetErrorString(result),
            ". HINT: NCCL_DEBUG=WARN prints more");
  return {id.internal, sizeof id.internal};
}

ncclDataType_t type_of(DType dtype) {
  if (dtype == DType::f32) return ncclFloat32;
  if (dtype == DType::f64) return ncclFloat64;
  HRM_CHECK(dtype == DType::bf16, "[distributed] sums are of f32, f64 or bf16");
  return ncclBfloat16;
}

// Calls of NCCL return at once, and what they ask for goes on: a rank that is missing must not keep
// the others for ever.
class NcclTransport : public Transport {
 public:
  NcclTransport(const std::string& id, int rank, int size, double seconds,
                std::shared_ptr<Transport> host)
      : host_(std::move(host)), rank_(rank), size_(size), event_(Device::cuda) {
    ncclUniqueId unique;
    HRM_CHECK(id.size() == sizeof unique.internal, "[nccl] an id has ", sizeof unique.internal,
              " bytes, got ", id.size());
    std::memcpy(unique.internal, id.data(), id.size());
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    or_abort([&] {
      check(ncclCommInitRankConfig(&comm_, size, unique, rank, &config));
      HRM_CHECK(
          settled(after(seconds)), "[nccl] the GPUs of ", size,
          " processes have not found each other within ", seconds,
          " s. HINT: NCCL_DEBUG=INFO prints where they look; HRM_TIMEOUT=SECONDS waits longer");
    });
  }
  // What is under way would keep the GPU busy for ever once the job has failed.
  ~NcclTransport() override {
    if (std::uncaught_exceptions() > 0) abort();
    if (!comm_) return;
    constexpr double kLongest = 60;  // seconds
    try {
      check(ncclCommFinalize(comm_));
      if (settled(after(kLongest)))
        ncclCommDestroy(comm_);
      else
        abort();
    } catch (const Error&) {
      abort();
    }
  }
  NcclTransport(const NcclTransport&) = delete;
  NcclTransport& operator=(const NcclTransport&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::vector<int> exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                            double seconds) override {
    return finished(seconds, [&] {
      check(ncclGroupStart());
      for (const Incoming& part : in)
        if (part.bytes > 0)
          check(ncclRecv(part.data, part.bytes, ncclInt8, part.from, comm(), stream()));
      for (const Outgoing& part : out)
        if (part.bytes > 0)
          check(ncclSend(part.data, part.bytes, ncclInt8, part.to, comm(), stream()));
      check(ncclGroupEnd());
    });
  }

  std::vector<int> sum(void* values, DType dtype, int64_t count, double seconds) override {
    if (count == 0) return {};
    return finished(seconds, [&] {
      check(ncclAllReduce(values, values, static_cast<size_t>(count), type_of(dtype), ncclSum,
                          comm(), stream()));
    });
  }

  void leave(const std::string&) noexcept override { abort(); }

 private:
  ncclComm_t comm() const {
    HRM_CHECK(comm_, "[nccl] the job is over");
    return comm_;
  }
  static cudaStream_t stream() { return static_cast<cudaStream_t>(cuda::stream()); }

  static void check(ncclResult_t result) {
    HRM_CHECK(result == ncclSuccess || result == ncclInProgress, "[nccl] ",
              ncclGetErrorString(result), ": ", ncclGetLastError(nullptr),
              ". HINT: NCCL_DEBUG=WARN prints more; each process needs a GPU of its own");
  }

  // Queues work and waits until the GPU has done it.
  template <class Queue>
  std::vector<int> finished(double seconds, const Queue& queue) {
    const Clock::time_point end = after(seconds);
    bool done = false;
    or_abort([&] {
      queue();
      done = settled(end);
      if (!done) return;
      event_.record();
      done = in_time(end, [&] { return event_.done(); });
    });
    if (done) return {};
    abort();
    std::vector<int> others;
    for (int other = 0; other < size_; ++other)
      if (other != rank_) others.push_back(other);
    return others;
  }

  // Whether NCCL has taken in time what it was asked for.
  bool settled(Clock::time_point end) const {
    return in_time(end, [&] {
      ncclResult_t state = ncclSuccess;
      check(ncclCommGetAsyncError(comm(), &state));
      check(state);
      return state == ncclSuccess;
    });
  }

  template <class Done>
  bool in_time(Clock::time_point end, const Done& done) const {
    for (Patience patience; !done(); patience.wait()) {
      if (Clock::now() >= end) return false;
      if (host_) host_->check_left();
    }
    return true;
  }

  // A rank that has left says more than an error that it has caused here: its reason may be on its
  // way.
  template <class Work>
  void or_abort(const Work& work) {
    constexpr double kGrace = 1;  // seconds
    try {
      work();
    } catch (const Error&) {
      abort();
      const Clock::time_point end = after(kGrace);
      for (Patience patience; host_ && Clock::now() < end; patience.wait()) host_->check_left();
      throw;
    }
  }

  void abort() noexcept {
    if (comm_) ncclCommAbort(comm_);
    comm_ = nullptr;
  }

  std::shared_ptr<Transport> host_;
  ncclComm_t comm_ = nullptr;  // null: the job has failed
  int rank_, size_;
  runtime::Event event_;
};

// Messages from memory of the host to memory of the host, by way of the GPUs.
class HostOverGpus : public Transport {
 public:
  explicit HostOverGpus(std::shared_ptr<Transport> gpus) : gpus_(std::move(gpus)) {}
  ~HostOverGpus() override { runtime::release(Device::cuda, block_); }
  HostOverGpus(const HostOverGpus&) = delete;
  HostOverGpus& operator=(const HostOverGpus&) = delete;

  int rank() const override { return gpus_->rank(); }
  int size() const override { return gpus_->size(); }

  std::vector<int> exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                            double seconds) override {
    size_t bytes = 0;
    const auto place = [&bytes](size_t length) {
      const size_t at = bytes;
      bytes += rounded(length);
      return at;
    };
    std::vector<size_t> at;
    for (const Outgoing& part : out) at.push_back(place(part.bytes));
    for (const Incoming& part : in) at.push_back(place(part.bytes));
    std::byte* block = room(bytes);
    std::vector<Outgoing> sent(out.begin(), out.end());
    std::vector<Incoming> received(in.begin(), in.end());
    auto next = at.begin();
    for (Outgoing& part : sent) {
      std::byte* on_gpu = block + *next++;
      runtime::copy(on_gpu, Device::cuda, part.data, Device::cpu, part.bytes);
      part.data = on_gpu;
    }
    for (Incoming& part : received) part.data = block + *next++;
    const std::vector<int> missing = gpus_->exchange(sent, received, seconds);
    if (missing.empty())
      for (size_t i = 0; i < in.size(); ++i)
        runtime::copy(in[i].data, Device::cpu, received[i].data, Device::cuda, in[i].bytes);
    return missing;
  }

  std::vector<int> sum(void* values, DType dtype, int64_t count, double seconds) override {
    const size_t bytes = static_cast<size_t>(count) * size_of(dtype);
    std::byte* block = room(bytes);
    runtime::copy(block, Device::cuda, values, Device::cpu, bytes);
    const std::vector<int> missing = gpus_->sum(block, dtype, count, seconds);
    if (missing.empty()) runtime::copy(values, Device::cpu, block, Device::cuda, bytes);
    return missing;
  }

  void leave(const std::string& why) noexcept override { gpus_->leave(why); }

 private:
  static size_t rounded(size_t bytes) {
    constexpr size_t kAlignment = runtime::alignment_of(Device::cuda);
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  std::byte* room(size_t bytes) {
    if (bytes <= size_) return block_;
    runtime::release(Device::cuda, std::exchange(block_, nullptr));
    block_ = static_cast<std::byte*>(runtime::allocate(Device::cuda, rounded(bytes)));
    size_ = block_ ? bytes : 0;
    HRM_CHECK(block_, "[nccl] out of memory: asked for ", bytes >> 20, " MiB on cuda");
    return block_;
  }

  std::shared_ptr<Transport> gpus_;
  std::byte* block_ = nullptr;
  size_t size_ = 0;
};

}  // namespace

std::shared_ptr<Transport> connect_gpus_over_nccl(const Communicator& ranks,
                                                  const std::shared_ptr<Transport>& host,
                                                  double deadline) {
  const std::string id = ranks.broadcast(ranks.is_first() ? new_id() : "");
  return std::make_shared<NcclTransport>(id, ranks.rank(), ranks.size(), deadline, host);
}

Communicator join_over_nccl(const std::string& address, int rank, int size, double deadline) {
  // All ranks make the same id of it, here; the first also listens there as soon as it joins.
  ::setenv("NCCL_COMM_ID", address.c_str(), /*overwrite=*/0);
  const auto gpus = std::make_shared<NcclTransport>(new_id(), rank, size, deadline, nullptr);
  return Communicator(std::make_shared<HostOverGpus>(gpus), deadline,
                      [gpus](const auto&...) { return gpus; });
}

}  // namespace hrm

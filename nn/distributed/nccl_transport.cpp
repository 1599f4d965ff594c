#include "nn/distributed/nccl_transport.h"

#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <utility>

#include "kernels/cuda/runtime.h"
#include "kernels/device.h"
#include "nn/distributed/patience.h"

namespace hrm {
inline namespace nn {
namespace {

using Clock = std::chrono::steady_clock;

auto after(double seconds) { return Clock::now() + std::chrono::duration<double>(seconds); }
using End = decltype(after(0));

void check(ncclResult_t result) {
  HRM_CHECK(result == ncclSuccess || result == ncclInProgress, "[nccl] ",
            ncclGetErrorString(result), ": ", ncclGetLastError(nullptr),
            ". HINT: each process needs a GPU of its own; NCCL_DEBUG=WARN "
            "NCCL_DEBUG_FILE=/tmp/nccl.%h.%p writes down more");
}

// What the ranks of a job know each other by.
std::string new_id() {
  ncclUniqueId id;
  check(ncclGetUniqueId(&id));
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
          " s. HINT: NCCL_DEBUG=INFO NCCL_DEBUG_FILE=/tmp/nccl.%h.%p writes down where they look; "
          "HRM_TIMEOUT=SECONDS waits longer");
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
      ncclResult_t result = ncclSuccess;
      const auto queue = [&](ncclResult_t next) {
        if (result == ncclSuccess || result == ncclInProgress) result = next;
      };
      for (const Incoming& part : in)
        if (part.bytes > 0)
          queue(ncclRecv(part.data, part.bytes, ncclInt8, part.from, comm(), stream()));
      for (const Outgoing& part : out)
        if (part.bytes > 0)
          queue(ncclSend(part.data, part.bytes, ncclInt8, part.to, comm(), stream()));
      queue(ncclGroupEnd());  // whatever has happened: no group may stay open
      check(result);
    });
  }

  std::vector<int> sum(void* values, DType dtype, int64_t count, double seconds) override {
    if (count == 0) return {};
    return finished(seconds, [&] {
      check(ncclAllReduce(values, values, static_cast<size_t>(count), type_of(dtype), ncclSum,
                          comm(), stream()));
    });
  }

  bool leave(const std::string&) noexcept override {
    abort();
    return false;
  }

 private:
  ncclComm_t comm() const {
    HRM_CHECK(comm_, "[nccl] the job is over");
    return comm_;
  }
  static cudaStream_t stream() { return static_cast<cudaStream_t>(cuda::stream()); }

  // Queues work and waits until the GPU has done it.
  template <class Queue>
  std::vector<int> finished(double seconds, const Queue& queue) {
    const End end = after(seconds);
    bool done = false;
    or_abort([&] {
      queue();
      done = settled(end);
      if (!done) return;
      event_.record();
      // A connection may break on the way: the GPU does not say so, NCCL does.
      done = in_time(end, [&] { return is_settled() && event_.done(); });
    });
    if (done) return {};
    abort();
    return others();
  }

  // Whether NCCL has taken what it was asked for; nothing else may be asked before.
  bool is_settled() const {
    ncclResult_t state = ncclSuccess;
    check(ncclCommGetAsyncError(comm(), &state));
    check(state);
    return state == ncclSuccess;
  }
  bool settled(End end) const {
    return in_time(end, [&] { return is_settled(); });
  }

  template <class Done>
  bool in_time(End end, const Done& done) const {
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
      const End end = after(kGrace);
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

  bool leave(const std::string& why) noexcept override { return gpus_->leave(why); }

 private:
  static size_t rounded(size_t bytes) {
    constexpr size_t kAlignment = runtime::alignment_of(Device::cuda);
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  std::byte* room(size_t bytes) {
    if (!room_.defined() || room_.nbytes() < bytes)
      room_ = empty({static_cast<int64_t>(rounded(bytes))}, DType::u8, Device::cuda);
    return reinterpret_cast<std::byte*>(room_.data<uint8_t>());
  }

  std::shared_ptr<Transport> gpus_;
  Tensor room_;
};

}  // namespace

std::shared_ptr<Transport> connect_gpus_over_nccl(const Communicator& ranks,
                                                  const std::shared_ptr<Transport>& host,
                                                  double deadline) {
  std::vector<std::string> gpus = ranks.gather(cuda::device_identity());
  std::ranges::sort(gpus);
  if (std::ranges::adjacent_find(gpus) != gpus.end()) return nullptr;  // NCCL wants one for each
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

}  // namespace nn
}  // namespace hrm

#include "nn/distributed/communicator.h"

#include <sstream>
#include <utility>

namespace hrm {
inline namespace nn {

Range share_of(int64_t total, int rank, int size) {
  return {total * rank / size, total * (rank + 1) / size};
}

struct Communicator::Job {
  Job(std::shared_ptr<Transport> messages, double seconds, ConnectGpus connect)
      : transport(std::move(messages)),
        connect_gpus(std::move(connect)),
        deadline(seconds),
        heard_last(static_cast<size_t>(transport->size())) {}
  std::shared_ptr<Transport> transport;
  ConnectGpus connect_gpus;
  std::shared_ptr<Transport> gpus;  // once they have been needed
  double deadline;
  std::string where = "the start";
  std::vector<std::string> heard_last;  // where this process was then, by rank
};

Communicator::Communicator(std::shared_ptr<Transport> transport, double deadline,
                           ConnectGpus connect_gpus) {
  if (!transport || transport->size() == 1) return;
  job_ = std::make_shared<Job>(std::move(transport), deadline, std::move(connect_gpus));
}

int Communicator::rank() const { return job_ ? job_->transport->rank() : 0; }
int Communicator::size() const { return job_ ? job_->transport->size() : 1; }

void Communicator::at(const std::string& where) const {
  if (job_) job_->where = where;
}

bool Communicator::leave(const std::string& why) const noexcept {
  if (!job_) return true;
  const bool heard = job_->transport->leave(why);
  if (job_->gpus) job_->gpus->leave(why);
  return heard;
}

bool Communicator::reaches(Device device) const {
  if (!job_ || device == Device::cpu) return true;
  // The question is asked once: it takes all ranks.
  if (const ConnectGpus connect = std::exchange(job_->connect_gpus, {}))
    job_->gpus = connect(*this, job_->transport, job_->deadline);
  return job_->gpus != nullptr;
}

Transport& Communicator::between(Device device) const {
  if (device == Device::cpu) return *job_->transport;
  HRM_CHECK(reaches(device), "[distributed] the ranks do not reach each other's GPUs");
  return *job_->gpus;
}

void Communicator::exchange(std::span<const Transport::Outgoing> out,
                            std::span<const Transport::Incoming> in, Device device) const {
  if (!job_) return;
  Transport& transport = between(device);
  if (device != Device::cpu) barrier();  // MPI can say who is missing, NCCL cannot
  check_answers(transport.exchange(out, in, job_->deadline));
  for (const Transport::Incoming& part : in) job_->heard_last[part.from] = job_->where;
}

// Throws if there are ranks that did not answer in time.
void Communicator::check_answers(const std::vector<int>& missing) const {
  if (missing.empty()) return;
  std::ostringstream text;
  text << "[distributed] no answer within " << job_->deadline << " s, in " << job_->where
       << ", from ";
  for (const int rank : missing) {
    const std::string& last = job_->heard_last[rank];
    text << (rank == missing.front() ? "" : ", ") << "rank " << rank
         << (last.empty() ? " (never heard of)" : " (heard of last in " + last + ")");
  }
  text << ". HINT: see what that process printed; HRM_TIMEOUT=SECONDS waits longer";
  throw NoAnswer(text.str());
}

namespace {

// To every other rank the same bytes, from every other rank its own.
void exchange_with_all(const Communicator& ranks, const void* own, size_t bytes,
                       const std::vector<Transport::Incoming>& from_others,
                       Device device = Device::cpu) {
  std::vector<Transport::Outgoing> out;
  for (int other = 0; other < ranks.size(); ++other)
    if (other != ranks.rank()) out.push_back({other, own, bytes});
  ranks.exchange(out, from_others, device);
}

// One number of every rank.
std::vector<uint64_t> gather_numbers(const Communicator& ranks, uint64_t own) {
  std::vector<uint64_t> all(ranks.size(), own);
  std::vector<Transport::Incoming> in;
  for (int other = 0; other < ranks.size(); ++other)
    if (other != ranks.rank()) in.push_back({other, &all[other], sizeof own});
  exchange_with_all(ranks, &own, sizeof own, in);
  return all;
}

void overwrite(Tensor values, const Tensor& with) { values.copy_from(with); }

void check_contiguous(const char* op, const Tensor& t) {
  HRM_CHECK(t.is_contiguous(), "[", op, "] the tensor must be contiguous");
}

}  // namespace

void Communicator::barrier() const { gather_numbers(*this, 0); }

std::vector<std::string> Communicator::gather(const std::string& own) const {
  const std::vector<uint64_t> sizes = gather_numbers(*this, own.size());
  std::vector<std::string> all(size());
  std::vector<Transport::Incoming> in;
  for (int other = 0; other < size(); ++other) {
    if (other == rank()) continue;
    all[other].resize(sizes[other]);
    in.push_back({other, all[other].data(), all[other].size()});
  }
  exchange_with_all(*this, own.data(), own.size(), in);
  all[rank()] = own;
  return all;
}

std::string Communicator::broadcast(const std::string& text) const {
  return gather(is_first() ? text : "").front();
}

void Communicator::broadcast(const Tensor& values) const {
  if (!job_) return;
  check_contiguous("broadcast", values);
  if (!reaches(values.device())) {
    const Tensor on_host = values.to(Device::cpu);
    broadcast(on_host);
    return overwrite(values, on_host);
  }
  if (!is_first()) {
    const std::vector<Transport::Incoming> in = {{0, values.data(), values.nbytes()}};
    return exchange({}, in, values.device());
  }
  std::vector<Transport::Outgoing> out;
  for (int other = 1; other < size(); ++other)
    out.push_back({other, values.data(), values.nbytes()});
  exchange(out, {}, values.device());
}

Tensor Communicator::gather(const Tensor& rows) const {
  if (!job_) return rows;
  check_contiguous("gather", rows);
  if (!reaches(rows.device())) return gather(rows.to(Device::cpu)).to(rows.device());
  const std::vector<uint64_t> counts = gather_numbers(*this, rows.size(0));
  std::vector<int64_t> begin = {0};
  for (const uint64_t count : counts) begin.push_back(begin.back() + static_cast<int64_t>(count));
  const Tensor all = empty(rows.shape().with(0, begin.back()), rows.dtype(), rows.device());
  const auto of = [&](int r) { return all.slice(0, begin[r], begin[r + 1]); };
  std::vector<Transport::Incoming> in;
  for (int other = 0; other < size(); ++other)
    if (other != rank()) in.push_back({other, of(other).data(), of(other).nbytes()});
  exchange_with_all(*this, rows.data(), rows.nbytes(), in, rows.device());
  overwrite(of(rank()), rows);
  return all;
}

Tensor Communicator::sum(const Tensor& values) const {
  if (!job_) return values;
  return gather(values.view({1, values.numel()})).sum(0, false).view(values.shape());
}

void Communicator::fast_sum(const Tensor& values) const {
  if (!job_) return;
  check_contiguous("fast_sum", values);
  if (!reaches(values.device())) {
    const Tensor on_host = values.to(Device::cpu);
    fast_sum(on_host);
    return overwrite(values, on_host);
  }
  Transport& transport = between(values.device());
  barrier();  // as in exchange()
  check_answers(transport.sum(values.data(), values.dtype(), values.numel(), job_->deadline));
}

}  // namespace nn
}  // namespace hrm

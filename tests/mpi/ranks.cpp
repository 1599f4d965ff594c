// One rank of a job, for tests/cli/distributed.sh: `mpirun -np 3 ranks collectives`. What a rank
// finds wrong it prints, and its exit status says so.
#include <chrono>
#include <csignal>
#include <cstring>
#include <iostream>
#include <thread>

#include "nn/distributed/job.h"
#include "nn/distributed/tree_sum.h"
#include "tensor/random.h"

using namespace hrm;

namespace {

int failures = 0;

// In one piece: the ranks share a terminal.
void complain(const Communicator& ranks, const std::string& what) {
  std::cerr << "rank " + std::to_string(ranks.rank()) + ": " + what + "\n";
}

void expect(bool holds, const Communicator& ranks, const std::string& what) {
  if (holds) return;
  ++failures;
  complain(ranks, what);
}

Tensor noise(int64_t seed, int64_t n) {
  return Random(static_cast<uint64_t>(seed)).normal({n}, 1000, DType::f32, Device::cpu);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.nbytes()) == 0;
}

// The same calls as in tests/test_distributed.cpp, now between processes.
void check_collectives(Communicator ranks) {
  const int size = ranks.size();
  ranks.barrier();
  const std::vector<std::string> texts = ranks.gather(std::string(ranks.rank() * 5, 'x'));
  for (int r = 0; r < size; ++r) expect(texts[r] == std::string(r * 5, 'x'), ranks, "gather");
  expect(ranks.broadcast(std::to_string(ranks.rank())) == "0", ranks, "broadcast");
  const Tensor rows = ranks.gather(noise(ranks.rank(), ranks.rank()));
  for (int64_t r = 0, begin = 0; r < size; begin += r, ++r)
    expect(same_bits(rows.slice(0, begin, begin + r), noise(r, r)), ranks, "gather of rows");
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16})
    for (const int64_t n : {0, 1, 1003}) {
      const Tensor sum = full({n}, ranks.rank() + 0.5, dtype);
      ranks.fast_sum(sum);
      expect(same_bits(sum, full({n}, size * (size - 1) / 2.0 + 0.5 * size, dtype)), ranks,
             "fast sum");
    }
  for (const int64_t parts : {size, size + 1, 2 * size + 1})
    for (const int64_t n : {0, 1, 1003, 300000}) {
      TreeSum shared(parts), whole(parts);
      Communicator alone;
      const Range own = share_of(parts, ranks.rank(), size);
      for (int64_t i = own.begin; i < own.end; ++i) shared.add(i, noise(i, n));
      for (int64_t i = 0; i < parts; ++i) whole.add(i, noise(i, n));
      expect(same_bits(shared.total(ranks), whole.total(alone)), ranks, "tree sum");
    }
}

// More bytes than MPI can count.
void check_large(Communicator ranks) {
  const int64_t n = (int64_t{1} << 28) + 1000;  // f64: 2 GiB
  const Tensor values = empty({n}, DType::f64);
  values.data<double>()[n - 1] = ranks.rank() + 1;
  values.data<double>()[0] = ranks.rank() + 10;
  ranks.broadcast(values);
  expect(values.data<double>()[n - 1] == 1 && values.data<double>()[0] == 10, ranks, "large");
}

void run(const std::string& what, Communicator ranks) {
  const int last = ranks.size() - 1;
  ranks.at("step 1");
  if (what == "collectives") return check_collectives(ranks);
  if (what == "large") return check_large(ranks);
  ranks.barrier();
  ranks.at("step 2");
  if (ranks.rank() == last) {
    HRM_CHECK(what != "leave", "the disk is full");
    if (what == "late") std::this_thread::sleep_for(std::chrono::seconds(120));
    if (what == "short") {
      const Transport::Outgoing less = {0, "1234", 4};  // the others send and expect 8 bytes
      ranks.exchange({&less, 1}, {});
    }
    if (what == "killed") std::raise(SIGKILL);
  }
  ranks.barrier();
}

}  // namespace

int main(int argc, char** argv) {
  Communicator ranks;
  try {
    ranks = join_job();
    run(argc > 1 ? argv[1] : "", ranks);
  } catch (const Error& error) {
    complain(ranks, error.what());
    ranks.leave(error.what());
    // The launcher ends all when the first has failed: so that the others can say what they heard.
    if (ranks.rank() + 1 == ranks.size()) std::this_thread::sleep_for(std::chrono::seconds(2));
    return 1;
  }
  if (ranks.is_first() && failures == 0) std::cout << "fine: " << ranks.size() << std::endl;
  return failures == 0 ? 0 : 1;
}

// Ranks whose GPUs talk over NCCL, with the stand-in of the emulation: each rank is a thread, and
// they take turns on the one device. Training: tests/test_ranks.cpp.
#ifdef HRM_EMULATE
#include "kernels/device.h"
#include "nn/distributed/nccl_transport.h"
#include "nn/distributed/tree_sum.h"
#include "tensor/random.h"
#include "tests/support/local_job.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

std::vector<std::string> on_gpus(int size, const std::function<void(Communicator)>& work,
                                 double deadline = 20) {
  return run_ranks(size, work, deadline, Turns::in_turn, connect_gpus_over_nccl);
}

void expect_no_error(const std::vector<std::string>& thrown) {
  for (const std::string& what : thrown) CHECK(what == "");
}

Tensor noise(int64_t seed, int64_t n, DType dtype = DType::f32, Device device = Device::cuda) {
  return Random(static_cast<uint64_t>(seed)).normal({n}, 1000, dtype, Device::cpu).to(device);
}

bool same(const Tensor& a, const Tensor& b) {
  return a.device() == b.device() && a.to_vector() == b.to_vector();
}

}  // namespace

TEST_CASE("nccl: collectives of cuda tensors give each rank what all of them gave") {
  for (int size = 2; size <= 4; ++size)
    expect_no_error(on_gpus(size, [&](Communicator ranks) {
      CHECK(ranks.reaches(Device::cuda));
      const Tensor values = noise(ranks.rank(), 7);
      ranks.broadcast(values);
      CHECK(same(values, noise(0, 7)));
      // As many rows as the rank's number, so none of rank 0.
      const Tensor all = ranks.gather(noise(10 + ranks.rank(), ranks.rank()));
      for (int64_t r = 0, begin = 0; r < size; begin += r, ++r)
        CHECK(same(all.slice(0, begin, begin + r), noise(10 + r, r)));
      const double total = size * (size - 1) / 2.0 + 0.5 * size;
      const Tensor sum = ranks.sum(full({2}, ranks.rank() + 0.5, DType::f64, Device::cuda));
      CHECK(sum.to_vector() == std::vector<double>(2, total));
      for (const DType dtype : {DType::f32, DType::f64, DType::bf16})
        for (const int64_t n : {0, 3}) {
          const Tensor fast = full({n}, ranks.rank() + 0.5, dtype, Device::cuda);
          ranks.fast_sum(fast);
          CHECK(fast.to_vector() == std::vector<double>(n, total));
        }
      // What is on the host goes its own way.
      CHECK(same(ranks.gather(noise(ranks.rank(), 1, DType::f32, Device::cpu)).slice(0, 1, 2),
                 noise(1, 1, DType::f32, Device::cpu)));
    }));
}

TEST_CASE("nccl: a tree sum of cuda tensors has the bits of one rank, without a copy on the host") {
  for (const int64_t parts : {4, 7})
    for (const DType dtype : {DType::f32, DType::bf16}) {
      TreeSum whole(parts);
      for (int64_t i = 0; i < parts; ++i) whole.add(i, noise(i, 1003, dtype));
      const Tensor alone = whole.total({});
      for (const int size : {2, 3})
        expect_no_error(on_gpus(size, [&](Communicator ranks) {
          TreeSum sum(parts);
          const Range own = share_of(parts, ranks.rank(), ranks.size());
          for (int64_t i = own.begin; i < own.end; ++i) sum.add(i, noise(i, 1003, dtype));
          CHECK(same(sum.total(ranks), alone));
        }));
    }
}

TEST_CASE("nccl: a rank that is late is named before its GPU is waited for (cuda)") {
  const auto thrown = on_gpus(
      3,
      [](Communicator ranks) {
        ranks.at("step 1");
        ranks.gather(noise(1, 2));
        ranks.at("step 2");
        if (ranks.rank() != 2) ranks.gather(noise(1, 2));
      },
      0.5);
  for (const int rank : {0, 1})
    CHECK(thrown[rank].find("no answer within 0.5 s, in step 2, from rank 2 (heard of last in step "
                            "1)") != std::string::npos);
}

TEST_CASE("nccl: a GPU that does not come ends the job in time (cuda)") {
  const auto thrown = on_gpus(
      2,
      [](Communicator ranks) {
        ranks.gather(noise(1, 2));
        const Tensor values = noise(1, 2);
        // Rank 1 says that it is there, and then sends nothing.
        if (ranks.rank() == 0)
          ranks.broadcast(values.clone());
        else
          ranks.barrier();
        if (ranks.rank() == 0) {
          const Transport::Incoming in = {1, values.data(), values.nbytes()};
          ranks.exchange({}, {&in, 1}, Device::cuda);
        } else {
          ranks.barrier();
        }
      },
      0.5);
  CHECK(thrown[0].find("no answer within 0.5 s, in the start, from rank 1") != std::string::npos);
}

TEST_CASE("nccl: ranks that wait for a GPU hear why another has left (cuda)") {
  const auto thrown = on_gpus(2, [](Communicator ranks) {
    ranks.gather(noise(1, 2));
    const Tensor values = noise(1, 2);
    if (ranks.rank() == 1) {
      ranks.barrier();
      throw Error("the disk is full");
    }
    const Transport::Incoming in = {1, values.data(), values.nbytes()};
    ranks.exchange({}, {&in, 1}, Device::cuda);
  });
  CHECK(thrown[0] == "[distributed] rank 1 has left: the disk is full");
  CHECK(thrown[1] == "the disk is full");
}

TEST_CASE("nccl: memory of the host in place of that of a GPU is refused (cuda)") {
  const auto thrown = on_gpus(2, [](Communicator ranks) {
    const Tensor values = noise(1, 2, DType::f32, Device::cpu);
    const Transport::Outgoing out = {1 - ranks.rank(), values.data(), values.nbytes()};
    ranks.exchange({&out, 1}, {}, Device::cuda);
  });
  CHECK(thrown[0].find("[nccl] invalid argument") != std::string::npos);
}

TEST_CASE("nccl: ranks that nothing else connects talk by way of their GPUs (cuda)") {
  const auto work = [](Communicator alone) {
    Communicator ranks = join_over_nccl("localhost:29501", alone.rank(), alone.size(), 20);
    CHECK(ranks.size() == 3);
    CHECK(ranks.rank() == alone.rank());
    const std::vector<std::string> texts = ranks.gather(std::string(ranks.rank() * 1000, 'x'));
    for (int r = 0; r < 3; ++r) CHECK(texts[r] == std::string(r * 1000, 'x'));
    CHECK(ranks.broadcast("from " + std::to_string(ranks.rank())) == "from 0");
    const Tensor sum = full({5}, ranks.rank() + 0.5);
    ranks.fast_sum(sum);
    CHECK(sum.to_vector() == std::vector<double>(5, 4.5));
    ranks.barrier();
  };
  // The emulated device would not stand kernels of several threads at once; there are none.
  expect_no_error(run_ranks(3, work));
  ::unsetenv("NCCL_COMM_ID");
}

TEST_CASE("nccl: ranks that do not all come give up (cuda)") {
  const auto thrown = run_ranks(2, [](Communicator alone) {
    if (alone.is_first()) join_over_nccl("localhost:29502", 0, 2, 0.2);
  });
  CHECK(thrown[0].find("[nccl] the GPUs of 2 processes have not found each other within 0.2 s") !=
        std::string::npos);
  ::unsetenv("NCCL_COMM_ID");
}
#endif

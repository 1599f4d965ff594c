// What ranks say to each other: collectives against a serial computation, sums that do not depend
// on the number of ranks, and what happens when one does not answer or leaves.
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "nn/distributed/job.h"
#include "nn/distributed/tree_sum.h"
#include "tensor/random.h"
#include "tests/support/local_job.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

void expect_no_error(const std::vector<std::string>& thrown) {
  for (const std::string& what : thrown) CHECK(what == "");
}

Tensor noise(int64_t seed, int64_t n, DType dtype = DType::f32) {
  Random random(static_cast<uint64_t>(seed));
  const Tensor t = empty({n});
  for (int64_t i = 0; i < n; ++i)
    t.data<float>()[i] =
        static_cast<float>((random.uniform() - 0.5) * std::pow(10.0, random.uniform() * 6));
  return t.to(dtype);
}

// By the definition of the tree: halves of 2^level parts.
float tree_sum_of(const std::vector<float>& parts, size_t begin, size_t count) {
  if (count == 1) return parts[begin];
  const float left = tree_sum_of(parts, begin, count / 2);
  if (begin + count / 2 >= parts.size()) return left;
  return left + tree_sum_of(parts, begin + count / 2, count / 2);
}

// A variable of the environment (null: unset), as long as the object lives.
class EnvironmentVariable {
 public:
  EnvironmentVariable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~EnvironmentVariable() { set(before_ ? before_->c_str() : nullptr); }
  EnvironmentVariable(const EnvironmentVariable&) = delete;
  EnvironmentVariable& operator=(const EnvironmentVariable&) = delete;

 private:
  void set(const char* value) const {
    if (value)
      ::setenv(name_, value, 1);
    else
      ::unsetenv(name_);
  }
  const char* name_;
  std::optional<std::string> before_;
};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.nbytes()) == 0;
}

}  // namespace

TEST_CASE("distributed: shares are in order, cover everything, and differ by one at most") {
  for (const int64_t total : {0, 1, 4, 7, 100})
    for (int size = 1; size <= 5; ++size) {
      int64_t end = 0;
      for (int rank = 0; rank < size; ++rank) {
        const Range own = share_of(total, rank, size);
        CHECK(own.begin == end);
        CHECK(own.size() >= total / size);
        CHECK(own.size() <= total / size + 1);
        end = own.end;
      }
      CHECK(end == total);
    }
}

#if !defined(HRM_WITH_MPI) && !defined(HRM_WITH_NCCL)
TEST_CASE("distributed: without MPI several processes are refused, and one is alone") {
  const EnvironmentVariable no_mpirun("OMPI_COMM_WORLD_SIZE", nullptr), no_pmi("PMI_SIZE", nullptr),
      no_srun("SLURM_STEP_NUM_TASKS", nullptr);
  CHECK(join_job().size() == 1);
  CHECK(distributed_engines() == "none");
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const EnvironmentVariable launched(name, "4");
    expect_error([] { join_job(); },
                 "started 4 processes, and this program cannot connect them. HINT: build it with "
                 "make MPI=1");
  }
  {
    const EnvironmentVariable size("WORLD_SIZE", "4"), rank("RANK", "2"),
        port("MASTER_PORT", "29500");
    {
      // Without an address these names say nothing.
      const EnvironmentVariable none("MASTER_ADDR", nullptr);
      CHECK(join_job().size() == 1);
      CHECK(launched_processes() == 1);
    }
    // torchrun, alone and inside the job of another launcher.
    const EnvironmentVariable torchrun("MASTER_ADDR", "localhost");
    const auto check = [](int64_t processes, int64_t own) {
      CHECK(launched_processes() == processes);
      CHECK(launched_rank() == own);
    };
    check(4, 2);
    expect_error([] { join_job(); },
                 "started 4 processes, and this program cannot connect those of torchrun. HINT: "
                 "build it with make CUDA=1 NCCL=1, or with make MPI=1 and start it with mpirun (a "
                 "single process in a shell that a launcher started: unset WORLD_SIZE)");
    const EnvironmentVariable srun("SLURM_STEP_NUM_TASKS", "8"), task("SLURM_PROCID", "7"),
        pmix("PMIX_RANK", "7");
    check(8, 7);
    const EnvironmentVariable id("TORCHELASTIC_RUN_ID", "none");
    check(4, 2);
    const EnvironmentVariable alone("WORLD_SIZE", "1"), first("RANK", "0");
    CHECK(join_job().size() == 1);
  }
  const EnvironmentVariable one("PMI_SIZE", "1");
  for (const char* text : {"0", "-1", "nan", "inf", "10s"}) {
    const EnvironmentVariable timeout("HRM_TIMEOUT", text);
    expect_error([] { join_job(); }, std::string("above 0, got '") + text + "'");
  }
  const EnvironmentVariable timeout("HRM_TIMEOUT", "2.5");
  CHECK(join_job().size() == 1);
}
#endif

TEST_CASE("distributed: a process that is alone is rank 0 of 1 and gets back what it gives") {
  Communicator ranks;
  CHECK(ranks.rank() == 0);
  CHECK(ranks.size() == 1);
  CHECK(ranks.is_first());
  ranks.at("step 1");
  ranks.barrier();
  CHECK(ranks.gather("text") == std::vector<std::string>{"text"});
  CHECK(ranks.broadcast("text") == "text");
  const Tensor rows = noise(1, 6).view({3, 2});
  CHECK(same_bits(ranks.gather(rows), rows));
  CHECK(same_bits(ranks.sum(rows), rows));
  TreeSum sum(1);
  sum.add(0, noise(2, 5));
  CHECK(same_bits(sum.total(ranks), noise(2, 5)));
  ranks.leave("done");
}

TEST_CASE("distributed: collectives of 2 to 5 ranks give each rank what all of them gave") {
  for (int size = 2; size <= 5; ++size)
    expect_no_error(run_ranks(size, [&](Communicator ranks) {
      CHECK(ranks.size() == size);
      ranks.barrier();
      // Texts of any length, the empty one too.
      const auto text_of = [](int rank) {
        return std::string(rank * 3, static_cast<char>('a' + rank));
      };
      const std::vector<std::string> texts = ranks.gather(text_of(ranks.rank()));
      for (int r = 0; r < size; ++r) CHECK(texts[r] == text_of(r));
      CHECK(ranks.broadcast("from " + std::to_string(ranks.rank())) == "from 0");
      const Tensor values = noise(ranks.rank(), 7);
      ranks.broadcast(values);
      CHECK(same_bits(values, noise(0, 7)));
      // As many rows as the rank's number, so none of rank 0.
      const auto rows_of = [](int rank) { return noise(10 + rank, rank * 3).view({rank, 3}); };
      const Tensor all = ranks.gather(rows_of(ranks.rank()));
      CHECK(all.size(0) == size * (size - 1) / 2);
      for (int64_t r = 0, begin = 0; r < size; begin += r, ++r)
        CHECK(same_bits(all.slice(0, begin, begin + r), rows_of(static_cast<int>(r))));
      const Tensor sum = ranks.sum(full({2, 2}, ranks.rank() + 0.5, DType::f64));
      CHECK(sum.to_vector() == std::vector<double>(4, size * (size - 1) / 2.0 + 0.5 * size));
      for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
        const Tensor fast = full({3}, ranks.rank() + 0.5, dtype);
        ranks.fast_sum(fast);
        CHECK(fast.to_vector() == std::vector<double>(3, size * (size - 1) / 2.0 + 0.5 * size));
      }
    }));
}

TEST_CASE("distributed: a tree sum has the same bits on any number of ranks, in the tree's order") {
  for (const int64_t parts : {1, 2, 3, 4, 5, 6, 7, 8, 13})
    for (const int64_t n : {0, 1, 3, 1000}) {
      std::vector<Tensor> all;
      for (int64_t i = 0; i < parts; ++i) all.push_back(noise(100 + i, n));
      const Tensor expected = empty({n});
      for (int64_t k = 0; k < n; ++k) {
        std::vector<float> column;
        for (const Tensor& part : all) column.push_back(part.data<float>()[k]);
        expected.data<float>()[k] = tree_sum_of(column, 0, 16);
      }
      for (int size = 1; size <= std::min<int64_t>(parts, 5); ++size)
        expect_no_error(run_ranks(size, [&](Communicator ranks) {
          TreeSum sum(parts);
          const Range own = share_of(parts, ranks.rank(), size);
          for (int64_t i = own.begin; i < own.end; ++i) sum.add(i, all[i].clone());
          CHECK_MESSAGE(same_bits(sum.total(ranks), expected),
                        parts << " parts, " << size << " ranks");
        }));
    }
}

TEST_CASE("distributed: a tree sum of doubles and of bf16, twice with the same object") {
  for (const DType dtype : {DType::f64, DType::bf16}) {
    TreeSum alone(4);
    Communicator one;
    for (int64_t i = 0; i < 4; ++i) alone.add(i, noise(i, 33, dtype));
    const Tensor expected = alone.total(one);
    expect_no_error(run_ranks(2, [&](Communicator ranks) {
      TreeSum sum(4);
      for (int repetition = 0; repetition < 2; ++repetition) {
        const Range own = share_of(4, ranks.rank(), 2);
        for (int64_t i = own.begin; i < own.end; ++i) sum.add(i, noise(i, 33, dtype));
        CHECK(same_bits(sum.total(ranks), expected));
      }
    }));
  }
}

TEST_CASE("distributed: a tree sum refuses parts that are not the rank's, and too few of them") {
  Communicator alone;
  expect_error([] { TreeSum(0); }, "at least one part, got 0");
  expect_error([] { TreeSum(2).add(2, zeros({1})); }, "parts are numbered 0..1, got 2");
  TreeSum half(2);
  half.add(1, zeros({1}));
  expect_error([&] { half.total(alone); }, "rank 0 must add parts 0 to 1");
  const auto thrown = run_ranks(3, [](Communicator ranks) {
    TreeSum sum(2);
    sum.total(ranks);
  });
  for (const std::string& what : thrown)
    CHECK(what.find("2 parts cannot be shared out over 3 ranks") != std::string::npos);
}

TEST_CASE("distributed: a rank that does not answer in time is named, with its last step") {
  const auto thrown = run_ranks(
      3,
      [](Communicator ranks) {
        ranks.at("step 7");
        ranks.barrier();
        if (ranks.rank() == 1) return;
        ranks.at("step 8");
        ranks.barrier();
      },
      2);
  for (const int rank : {0, 2}) {
    CHECK(thrown[rank].find("no answer within 2 s, in step 8, from rank 1 (heard of last in step "
                            "7). HINT: ") != std::string::npos);
    CHECK(thrown[rank].find('\n') == std::string::npos);
  }
  CHECK(thrown[1] == "");
}

TEST_CASE("distributed: a rank that fails tells the others why, and nobody waits") {
  const auto start = std::chrono::steady_clock::now();
  const auto thrown = run_ranks(3, [](Communicator ranks) {
    ranks.barrier();
    HRM_CHECK(ranks.rank() != 2, "the disk is full");
    ranks.barrier();
  });
  CHECK(thrown[2] == "the disk is full");
  for (const int rank : {0, 1})
    CHECK(thrown[rank] == "[distributed] rank 2 has left: the disk is full");
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
}

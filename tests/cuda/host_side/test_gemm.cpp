// What the CUDA backend asks of cuBLASLt (kernels/cuda/gemm_cublaslt.cpp), seen without a GPU.
#include <algorithm>
#include <tuple>
#include <vector>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
#include "tests/cuda/host_side/stand_in.h"

#undef CHECK
#include <doctest/doctest.h>

using namespace hrm;
using stand_in::device;

namespace {

constexpr Context kContext{Device::cuda, nullptr};

// a [m, k] times b [k, n] into c, all f32 and dense.
Gemm dense_product(int64_t m, int64_t n, int64_t k) {
  const auto memory = [](int64_t elements) {
    return cuda::allocate(static_cast<size_t>(elements) * sizeof(float));
  };
  Gemm g;
  g.m = m;
  g.n = n;
  g.k = k;
  g.a = memory(m * k);
  g.a_row = k;
  g.b = memory(k * n);
  g.b_row = n;
  g.c = memory(m * n);
  g.c_row = n;
  g.c_batch = m * n;
  return g;
}
// Forgets what was asked so far; these are the candidates from now on.
void begin(const std::vector<stand_in::Candidate>& candidates = {{}}) {
  device() = {};
  device().candidates = candidates;
}
// Products that our own kernel was asked for.
int64_t references() {
  return std::ranges::count_if(
      device().queued, [](const auto& queued) { return queued.name.starts_with("gemm_kernel"); });
}

}  // namespace

TEST_CASE("dense and transposed operands go to cuBLASLt, repeated rows and columns do not") {
  const int64_t m = 33, n = 17, k = 40;
  begin();
  Gemm g = dense_product(m, n, k);
  cuda::gemm(g, kContext);
  g.a_row = 1;
  g.a_col = m;
  g.b_row = 1;
  g.b_col = k;
  cuda::gemm(g, kContext);
  CHECK(device().algorithms.size() == 2);
  CHECK(references() == 0);
  CHECK(device().violations.empty());

  // One row (column) in memory for all.
  begin();
  for (const auto& [a_row, a_col, b_row, b_col] :
       {std::tuple<int64_t, int64_t, int64_t, int64_t>{0, 1, n, 1},
        {1, 0, n, 1},
        {k, 1, 0, 1},
        {k, 1, 1, 0}}) {
    Gemm repeated = dense_product(m, n, k);
    const bool left = a_row == 0 || a_col == 0;
    void* line = cuda::allocate(static_cast<size_t>(left ? (a_row ? m : k) : (b_row ? k : n)) *
                                sizeof(float));
    (left ? repeated.a : repeated.b) = line;
    repeated.a_row = a_row;
    repeated.a_col = a_col;
    repeated.b_row = b_row;
    repeated.b_col = b_col;
    cuda::gemm(repeated, kContext);
  }
  CHECK(device().violations.empty());
  CHECK(references() == 4);
}

TEST_CASE("a single row or column may have any stride") {
  begin();
  Gemm g = dense_product(1, 5, 7);
  g.a_row = 0;
  cuda::gemm(g, kContext);
  g = dense_product(6, 1, 7);
  g.b_col = 0;
  g.b_row = 1;
  cuda::gemm(g, kContext);
  CHECK(references() == 0);
  CHECK(device().algorithms.size() == 2);
  CHECK(device().violations.empty());
}

TEST_CASE("what tuning found serves a product whose batch has one element") {
  begin({{}, {true, false, 5e-5}});
  Gemm g = dense_product(64, 32, 16);
  g.c_batch = 0;
  const cuda::GemmTuning tuning = cuda::tune_gemm(g, 8, 5);
  CHECK(tuning.best == 1);
  CHECK(tuning.tried == 2);
  CHECK(tuning.best_us == doctest::Approx(50));
  CHECK(tuning.first_us == doctest::Approx(100));
  device().algorithms.clear();
  g.a_batch = 64 * 16;
  g.b_batch = 32 * 16;
  g.c_batch = 64 * 32;
  cuda::gemm(g, kContext);
  CHECK(device().algorithms == std::vector<int>{1});
}

TEST_CASE("a large product is tuned when its shape first occurs, if that is asked for") {
  stand_in::Candidate fast;
  fast.seconds = 5e-5;
  const auto asked = [](int64_t side) {
    Gemm g = dense_product(side, side, side);
    device().algorithms.clear();
    cuda::gemm(g, kContext);
    return device().algorithms;
  };
  const std::vector<int> first{0}, second{1};
  begin({{}, fast});
  cuda::set_gemm_tuning(false);
  CHECK(asked(800) == first);
  cuda::set_gemm_tuning(true);
  CHECK(asked(200) == first);
  const std::vector<int> tuned = asked(800);
  CHECK(tuned.size() > 10);
  CHECK(tuned.back() == 1);
  CHECK(asked(800) == second);
  // A run that is resumed has it from the checkpoint.
  const std::string plans = cuda::gemm_plans();
  cuda::set_gemm_tuning(false);
  CHECK(asked(800) == first);
  CHECK(cuda::load_gemm_plans(plans));
  CHECK(asked(800) == second);
  cuda::set_gemm_tuning(true);
  CHECK(asked(800) == second);
  // Nothing can be timed in a recording.
  cuda::Graph graph;
  Gemm g = dense_product(804, 804, 804);
  graph.record([&] { cuda::gemm(g, kContext); });
  CHECK(device().graph.size() == 1);
  CHECK(device().violations.empty());
  cuda::set_gemm_tuning(false);
}

TEST_CASE("the heuristics hear the alignment that the operands have") {
  begin();
  Gemm g = dense_product(24, 24, 24);
  cuda::gemm(g, kContext);
  CHECK(device().alignments == std::vector<uint32_t>{256, 256, 256, 256});
  begin();
  g.a = static_cast<const float*>(g.a) + 8;
  g.m = 23;
  cuda::gemm(g, kContext);
  CHECK(device().alignments == std::vector<uint32_t>{256, 32, 256, 256});
}

TEST_CASE("a candidate that cannot run, fails or is slow does not spoil the sweep") {
  stand_in::Candidate slow, good, fails, unusable;
  slow.seconds = 4e-4;
  good.seconds = 8e-5;
  fails.fails = true;
  unusable.usable = false;
  begin({{}, unusable, slow, fails, good});
  Gemm g = dense_product(40, 40, 40);
  const cuda::GemmTuning tuning = cuda::tune_gemm(g, 8, 20);
  CHECK(tuning.tried == 4);
  CHECK(tuning.best_us == doctest::Approx(80));
  const std::vector<int> asked = device().algorithms;
  CHECK(std::count(asked.begin(), asked.end(), 1) == 0);
  CHECK(std::count(asked.begin(), asked.end(), 2) == 2);
  CHECK(std::count(asked.begin(), asked.end(), 3) == 1);
  CHECK(std::count(asked.begin(), asked.end(), 4) == 22);
  device().algorithms.clear();
  cuda::gemm(g, kContext);
  CHECK(device().algorithms == std::vector<int>{4});
}

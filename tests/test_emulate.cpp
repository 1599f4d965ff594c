// The CUDA emulation: that it notices planted faults, and computes what a GPU would.
#if HRM_WITH_CUDA && defined(HRM_EMULATE)
#include <cstddef>
#include <numeric>

#include "kernels/cuda/emulate/emulate.h"
#include "kernels/types.h"
#include "tests/emulate/faults.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

// Runs `action` in every order of threads and blocks.
void in_every_order(const std::function<void()>& action) {
  using emulate::Order;
  for (const Order order : {Order::forward, Order::reverse, Order::random}) {
    INFO("order ", static_cast<int>(order));
    emulate::set_order(order);
    action();
  }
  emulate::set_order(Order::forward);
}

// The faults make an error with their message; without them the kernel runs, then and afterwards.
void expect_noticed(const std::vector<Fault>& list) {
  in_every_order([&] {
    for (const Fault& fault : list) {
      INFO(fault.name);
      CHECK_NOTHROW(fault.run(false));
      expect_error([&] { fault.run(true); }, fault.message);
      CHECK_NOTHROW(fault.run(false));
    }
  });
}

std::vector<unsigned short> bf16_matrix(int n, int step) {
  std::vector<unsigned short> m;
  for (int i = 0; i < n; ++i) m.push_back(bfloat16(static_cast<float>(i * step % 19 - 9)).bits);
  return m;
}
float value_of(unsigned short bits) {
  bfloat16 v;
  v.bits = bits;
  return v;
}

}  // namespace

TEST_CASE("cuda emulation: divergent barriers and warp operations are errors") {
  expect_noticed(faults());
}

TEST_CASE("cuda emulation: wrong memory accesses and races are errors") {
#ifdef HRM_EMULATE_CHECK
  expect_noticed(checker_faults());
#else
  SKIP("needs the checker of memory accesses: make CUDA=emulate SAN=check");
#endif
}

TEST_CASE("cuda emulation: the faults' kernels run without the fault") {
  in_every_order([] {
    for (const Fault& fault : checker_faults()) {
      INFO(fault.name);
      CHECK_NOTHROW(fault.run(false));
    }
  });
}

TEST_CASE("cuda emulation: hundreds of errors in one process") {
  for (int i = 0; i < 300; ++i) {
    const Fault& fault = faults()[static_cast<size_t>(i) % faults().size()];
    INFO(fault.name);
    expect_error([&] { fault.run(true); }, fault.message);
  }
  CHECK_NOTHROW(launch_sized(2, 1, 1024, 0));
}

TEST_CASE("cuda emulation: launches of a refused size are one clear line") {
  const auto refused = [](unsigned grid_x, unsigned grid_y, unsigned block, size_t shared,
                          const char* message) {
    expect_error([&] { launch_sized(grid_x, grid_y, block, shared); }, message);
  };
  refused(1, 1, 0, 0, "empty_kernel: a block has 1 to 1024 threads");
  refused(1, 1, 33, 0, "multiple of 32; grid 1 x 1 x 1, block of 33, 0 shared bytes");
  refused(1, 1, 1056, 0, "1 to 1024 threads");
  refused(0, 1, 32, 0, "the grid is empty");
  refused(1, 65536, 32, 0, "the grid is too large");
  refused(1, 1, 32, 300 << 10, "too much shared memory");
  CHECK_NOTHROW(launch_sized(1, 2, 32, 200 << 10));
  CHECK(emulate::take_launched_kernels().contains("empty_kernel"));
}

TEST_CASE("cuda emulation: shuffles and votes") {
  std::vector<unsigned> in;
  for (unsigned i = 0; i < 32; ++i) in.push_back(i * i * 7 + i / 3);
  unsigned odd = 0;
  for (unsigned i = 0; i < 32; ++i) odd |= in[i] % 2 << i;
  in_every_order([&] {
    std::vector<unsigned> want(128);
    for (unsigned l = 0; l < 32; ++l) {
      want[l] = in[(3 * l + 1) % 32];
      want[32 + l] = in[l ^ 5];
      want[64 + l] = in[l < 2 ? l : l - 2];
      want[96 + l] = odd;
    }
    CHECK(warp_operations(in) == want);
  });
}

TEST_CASE("cuda emulation: ldmatrix, plain and transposed") {
  std::vector<unsigned short> m;
  for (unsigned short i = 0; i < 256; ++i) m.push_back(static_cast<unsigned short>(i * 3 + 1));
  in_every_order([&] {
    for (const bool transposed : {false, true}) {
      std::vector<unsigned> want(128);
      // Matrix i of 8 x 8: rows from 8 (i % 2), columns from 8 (i / 2).
      for (unsigned i = 0; i < 4; ++i)
        for (unsigned l = 0; l < 32; ++l) {
          const unsigned a = l / 4, b = l % 4 * 2, top = i % 2 * 8, left = i / 2 * 8;
          const auto at = [&](unsigned row, unsigned column) -> unsigned {
            return transposed ? m[(top + column) * 16 + left + row]
                              : m[(top + row) * 16 + left + column];
          };
          want[i * 32 + l] = at(a, b) | at(a, b + 1) << 16;
        }
      CHECK(load_matrix(m, transposed) == want);
    }
  });
}

TEST_CASE("cuda emulation: mma of bf16") {
  const auto a = bf16_matrix(256, 7), b = bf16_matrix(128, 5);
  std::vector<float> c;
  for (int i = 0; i < 128; ++i) c.push_back(static_cast<float>(i - 50));
  in_every_order([&] {
    auto want = c;  // small integers: exact in any order
    for (size_t i = 0; i < 16; ++i)
      for (size_t j = 0; j < 8; ++j)
        for (size_t k = 0; k < 16; ++k)
          want[i * 8 + j] += value_of(a[i * 16 + k]) * value_of(b[k * 8 + j]);
    CHECK(multiply(a, b, c) == want);
  });
}

TEST_CASE("cuda emulation: a pipeline of asynchronous copies, block sums") {
  std::vector<float> in;
  for (int i = 0; i < 512; ++i) in.push_back(static_cast<float>(i * i % 101));
  in_every_order([&] {
    std::vector<float> want;
    std::vector<double> sums;
    for (size_t i = 0; i < in.size(); ++i) {
      want.push_back(in[i / 64 * 64 + 63 - i % 64]);
      const auto begin = in.begin() + static_cast<std::ptrdiff_t>(i / 128 * 128);
      sums.push_back(std::accumulate(begin, begin + 128, 0.0));
    }
    CHECK(turned(in) == want);
    CHECK(block_sums(in) == sums);
  });
}

TEST_CASE("cuda emulation: a result that depends on the order of threads shows") {
  std::vector<float> in;
  for (int i = 0; i < 256; ++i) in.push_back(1.0f / static_cast<float>(i + 1));
#ifdef HRM_EMULATE_CHECK
  in_every_order([&] { expect_error([&] { racy_sum(in); }, "race "); });
#else
  emulate::set_order(emulate::Order::forward);
  const float forward = racy_sum(in);
  CHECK(forward == racy_sum(in));
  emulate::set_order(emulate::Order::reverse);
  CHECK(forward != racy_sum(in));
  emulate::set_order(emulate::Order::forward);
#endif
}
#endif

#include <cmath>

#include "autograd/ops/ops.h"
#include "kernels/device.h"
#include "tests/support/op_cases.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

Tensor step_number(int32_t step, Device device = Device::cpu) {
  return from_vector<int32_t>({step}, {1}).to(device);
}
// The factors of a dropout of so many elements.
std::vector<double> factors(const DropoutStream& drop, int64_t n, Device device = Device::cpu) {
  return dropout(ones({n}, DType::f64, device), drop).to_vector();
}
// The share of two vectors' elements that agree.
double agreement(const std::vector<double>& a, const std::vector<double>& b) {
  double same = 0;
  for (size_t i = 0; i < a.size(); ++i) same += a[i] == b[i];
  return same / static_cast<double>(a.size());
}

}  // namespace

TEST_CASE("dropout: the share that is kept, and its factor") {
  const int64_t n = 200000;
  for (const double p : {0.05, 0.1, 0.5, 0.9}) {
    double kept = 0, worst = 0;
    for (const double factor : factors({p, 1}, n)) {
      if (factor == 0) continue;
      ++kept;
      worst = std::max(worst, std::abs(factor * (1 - p) - 1));
    }
    CHECK(worst < 2e-4);  // p is a multiple of 1 / 65536
    // Five standard deviations.
    const double spread = std::sqrt(p * (1 - p) / static_cast<double>(n));
    CHECK(std::abs(kept / static_cast<double>(n) - (1 - p)) < 5 * spread + 1e-5);
  }
}

TEST_CASE("dropout: seed, step and call draw masks that have nothing in common") {
  const int64_t n = 20000;
  const DropoutStream drop{0.5, 7, step_number(3), 2};
  const std::vector<double> mask = factors(drop, n);
  CHECK(factors(drop, n) == mask);
  CHECK(std::abs(agreement(factors({0.5, 8, step_number(3), 2}, n), mask) - 0.5) < 0.02);
  CHECK(std::abs(agreement(factors({0.5, 7, step_number(4), 2}, n), mask) - 0.5) < 0.02);
  CHECK(std::abs(agreement(factors({0.5, 7, step_number(3), 3}, n), mask) - 0.5) < 0.02);
  // The neighbours of an element say nothing of it.
  for (const size_t lag : {1, 2, 4, 8})
    CHECK(std::abs(agreement({mask.begin() + lag, mask.end()}, {mask.begin(), mask.end() - lag}) -
                   0.5) < 0.02);
}

TEST_CASE("dropout: every mask is the one that the formula gives, far beyond a chunk of elements") {
  const int64_t n = 10003;
  const std::vector<double> mask = factors({0.5, 7, step_number(3), 2}, n);
  const uint64_t key = philox_bits(7, uint64_t{3} << 20 | 2);
  int wrong = 0;
  for (size_t i = 0; i < mask.size(); ++i) {
    const uint32_t word = philox(key, i / 8).word[i % 8 / 2];
    const uint32_t draw = i % 2 ? word >> 16 : word & 0xffff;
    wrong += (mask[i] != 0) != (draw >= 32768);
  }
  CHECK(wrong == 0);
}

TEST_CASE("dropout of attention's probabilities, fused and composed, on every device") {
  for (const Device device : devices())
    for (const auto& [seq, heads, dim, t] :
         {std::tuple<int64_t, int64_t, int64_t, DType>{130, 1, 32, DType::f64},
          {37, 2, 64, DType::f64},
          {20, 2, 16, DType::bf16},
          {100, 1, 16, DType::bf16}}) {
      Random random(seq);
      Tensor qkv = random.normal({2, seq, 3 * heads * dim}, 1, t).to(device);
      qkv.set_requires_grad();
      const DropoutStream drop{0.3, 5, step_number(9, device), 4};
      const auto both = [&](const Tensor& y) {
        return Tensors{y.detach(), grad({sum(cast(y, DType::f64) * 1.5)}, {qkv})[0]};
      };
      const double difference =
          largest_difference(both(attention(qkv, heads, nullptr, drop)),
                             both(attention_reference(qkv, heads, nullptr, drop)));
      CAPTURE(difference);
      CHECK(difference < (t == DType::bf16 ? 0.05 : 1e-10));
      // And something is dropped.
      const Tensor whole = attention(qkv, heads, nullptr);
      CHECK(largest_difference({attention(qkv, heads, nullptr, drop)}, {whole}) > 0.1);
    }
}

TEST_CASE("dropout: a step that goes on before the gradient is refused") {
  Tensor step = step_number(1);
  Tensor x = ones({1, 3, 12}).set_requires_grad();
  for (const bool of_attention : {false, true}) {
    const DropoutStream drop{0.5, 3, step};
    const Tensor y = of_attention ? attention(x, 2, nullptr, drop) : dropout(x, drop);
    step.copy_from(step_number(2));
    expect_error([&] { backward(sum(y)); }, "step");
  }
}

TEST_CASE("dropout: next() counts the calls of a step") {
  DropoutStream drop{0.5, 7};
  const DropoutStream first = drop.next(), second = drop.next();
  CHECK(first.call == 0);
  CHECK(second.call == 1);
}

TEST_CASE("dropout: nothing is dropped with p 0, and a residual is added") {
  Random random(3);
  const Tensor x = random.normal({4, 5}, 1), r = random.normal({4, 5}, 1);
  CHECK(dropout(x, {}).to_vector() == x.to_vector());
  CHECK(dropout(x, {}, r).to_vector() == (x + r).to_vector());
  const DropoutStream drop{0.4, 11};
  CHECK(largest_difference({dropout(x, drop, r)}, {dropout(x, drop) + r}) < 1e-6);
  CHECK(same_bits({attention(random.normal({1, 4, 12}, 1), 2, nullptr, {})},
                  {attention(Random(3, 40).normal({1, 4, 12}, 1), 2, nullptr)}));
}

TEST_CASE("dropout: bad settings get a line") {
  const Tensor x = zeros({2, 3});
  expect_error([&] { dropout(x, {1, 1}); }, "[dropout] p must be in [0, 1), got 1");
  expect_error([&] { dropout(x, {-0.1, 1}); }, "[dropout] p must be in [0, 1), got -0.1");
  expect_error(
      [&] {
        dropout(x, {0.5, 1}, zeros({3}));
      },
      "[dropout] the residual must be f32(2, 3), got f32(3)");
  expect_error(
      [&] {
        dropout(x, {0.5, 1, zeros({2}, DType::i32)});
      },
      "[dropout] the step must be i32(1), got i32(2)");
  expect_error(
      [&] {
        dropout(x, {0.5, 1, {}, 1u << 20});
      },
      "[dropout] a step has at most 2^20 calls, this is number 1048576");
}

TEST_CASE("dropout: a recorded one draws a new mask for every step, on every device") {
  for (const Device device : devices()) {
    const int64_t n = 1003;
    Tensor step = step_number(1, device), y = empty({n}, DType::f64, device);
    const Tensor x = ones({n}, DType::f64, device);
    const auto draw = [&] { y.copy_from(dropout(x, {0.5, 7, step})); };
    draw();  // what it needs is in the cache from now on
    runtime::Recording recording(device);
    if (runtime::can_record(device)) recording.record(draw);
    for (const int32_t number : {1, 2, 3}) {
      step.copy_from(step_number(number, device));
      if (recording.recorded())
        recording.replay();
      else
        draw();
      CHECK(y.to_vector() == factors({0.5, 7, step_number(number)}, n));
    }
  }
}

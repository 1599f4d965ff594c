// CPU kernels against Eigen and naive loops: odd sizes, strides, guards, limits of the fast math.
#define EIGEN_DONT_VECTORIZE  // a reference needs no speed, and g++ 12 warns in its own intrinsics
#include <cmath>

#include <eigen3/Eigen/Dense>

#include "kernels/attention.h"
#include "kernels/cpu/vector_math.h"
#include "kernels/gemm.h"
#include "kernels/optimizer.h"
#include "kernels/reduce.h"
#include "kernels/rms_norm.h"
#include "tensor/random.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

template <class T>
std::vector<T> random_values(int64_t n, uint64_t seed) {
  Random random(seed);
  const auto values = random.normal({n}, 1, DType::f64).to_vector();
  std::vector<T> out;
  for (const double v : values) out.push_back(static_cast<T>(static_cast<arithmetic<T>>(v)));
  return out;
}

// One product with every layout against Eigen in double.
template <class T, class C>
void check_gemm(int64_t m, int64_t n, int64_t k, bool ta, bool tb, double beta, double tolerance) {
  const auto a = random_values<T>(m * k, 1), b = random_values<T>(k * n, 2);
  const auto start = random_values<C>(m * n, 3);
  GuardedBuffer<C> c(m * n);
  if (beta != 0) std::copy(start.begin(), start.end(), c.data());
  Gemm g;
  g.type = dtype_of<T>;
  g.c_type = dtype_of<C>;
  g.m = m;
  g.n = n;
  g.k = k;
  g.beta = beta;
  g.a = a.data();
  g.a_row = ta ? 1 : k;
  g.a_col = ta ? m : 1;
  g.b = b.data();
  g.b_row = tb ? 1 : n;
  g.b_col = tb ? k : 1;
  g.c = c.data();
  g.c_row = n;
  cpu::gemm(g, {});
  Eigen::MatrixXd A(m, k), B(k, n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < k; ++j) A(i, j) = static_cast<double>(a[ta ? j * m + i : i * k + j]);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < n; ++j) B(i, j) = static_cast<double>(b[tb ? j * k + i : i * n + j]);
  const Eigen::MatrixXd want = A * B;
  double worst = 0;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      const double w = want(i, j) + (beta != 0 ? static_cast<double>(start[i * n + j]) : 0);
      worst = std::max(worst, std::abs(static_cast<double>(c[i * n + j]) - w) /
                                  (std::sqrt(static_cast<double>(k)) + std::abs(w)));
    }
  CHECK_MESSAGE(worst < tolerance, m, "x", n, "x", k, " ta ", ta, " tb ", tb, " beta ", beta);
  CHECK(c.intact());
}

}  // namespace

TEST_CASE("gemm equals Eigen for odd sizes, transposes, beta and dtypes") {
  for (const auto& [m, n, k] : {std::tuple{1, 1, 1},
                                {1, 33, 7},
                                {33, 1, 82},
                                {14, 32, 256},
                                {15, 33, 257},
                                {82, 82, 64},
                                {257, 129, 513},
                                {33, 65, 2100}}) {
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const double beta : {0.0, 1.0}) {
          check_gemm<float, float>(m, n, k, ta, tb, beta, 3e-6);
          check_gemm<double, double>(m, n, k, ta, tb, beta, 1e-14);
          check_gemm<bfloat16, float>(m, n, k, ta, tb, beta, 3e-6);
          check_gemm<bfloat16, bfloat16>(m, n, k, ta, tb, beta, 5e-3);
        }
  }
}

TEST_CASE("gemm with beta 0 never reads C, and an empty sum is zero") {
  GuardedBuffer<float> c(6);  // starts as NaN
  const std::vector<float> a(6, 1), b(6, 1);
  Gemm g;
  g.m = 2;
  g.n = 3;
  g.k = 2;
  g.a = a.data();
  g.a_row = 2;
  g.b = b.data();
  g.b_row = 3;
  g.c = c.data();
  g.c_row = 3;
  cpu::gemm(g, {});
  for (size_t i = 0; i < 6; ++i) CHECK(c[i] == 2);
  g.k = 0;
  cpu::gemm(g, {});
  for (size_t i = 0; i < 6; ++i) CHECK(c[i] == 0);
  CHECK(c.intact());
  g.c_type = DType::f64;
  expect_error([&] { cpu::gemm(g, {}); }, "[gemm] C must have the operands' dtype");
}

TEST_CASE("exp and fast_atan2 stay within a few ulp and keep special values") {
  const float inf = std::numeric_limits<float>::infinity();
  const auto ulps = [](float got, double want) {
    const auto w = static_cast<float>(want);
    const double ulp = std::max(std::abs(std::nextafter(w, INFINITY) - w), 1.2e-38f * 1.2e-7f);
    return std::abs(static_cast<double>(got) - want) / ulp;
  };
  // As the kernel computes it: in vectors, and alone.
  std::vector<float> x, y;
  for (double value = -86.98; value < 88.72; value += 0.00371)
    x.push_back(static_cast<float>(value));
  y.resize(x.size());
  cpu::unary(UnaryOp::exp, DType::f32, y.data(), x.data(), static_cast<int64_t>(x.size()), {});
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, ulps(y[i], std::exp(static_cast<double>(x[i]))));
  CHECK(worst < 2);
  const auto exp = [](float value) {
    float result = 0;
    cpu::unary(UnaryOp::exp, DType::f32, &result, &value, 1, {});
    return result;
  };
  CHECK(exp(inf) == inf);
  CHECK(exp(-inf) == 0);
  CHECK(exp(200.f) == inf);
  CHECK(exp(-200.f) == 0);
  CHECK(exp(-86.98f) > 0);
  CHECK(exp(88.72f) < inf);
  CHECK(exp(-87.f) == 0);  // no subnormal results
  CHECK(std::isnan(exp(NAN)));
  CHECK(exp(0.f) == 1);
  worst = 0;
  for (const double m : {1e-30, 1e-12, 1e-3, 0.3, 0.41, 0.42, 1.0, 7.0, 1e6, 1e20})
    for (const double d : {1e-30, 1e-12, 0.02, 1.0, 3.0, 1e6})
      for (const double sign : {-1.0, 1.0})
        worst = std::max(
            worst,
            ulps(cpu::fast_atan2(static_cast<float>(sign * m), static_cast<float>(d)),
                 std::atan2(static_cast<float>(sign * m) * 1.0, static_cast<float>(d) * 1.0)));
  CHECK(worst < 4);
  CHECK(cpu::fast_atan2(0.f, 0.f) == 0);
  CHECK(std::isnan(cpu::fast_atan2(NAN, 1.f)));
}

TEST_CASE("a sigmoid is the same bits in a vector loop and alone") {
  const int64_t n = 259;
  const auto x = random_values<float>(n, 4);
  std::vector<float> y(n);
  cpu::unary(UnaryOp::sigmoid, DType::f32, y.data(), x.data(), n, {});
  for (int64_t i = 0; i < n; ++i) {
    float alone;
    cpu::unary(UnaryOp::sigmoid, DType::f32, &alone, &x[i], 1, {});
    CHECK(alone == y[i]);
  }
}

TEST_CASE("attention and norms write inside their outputs only") {
  const AttentionShape shape{2, 33, 3, 10};
  const int64_t width = 30, rows = 2 * 33;
  const auto qkv = random_values<float>(rows * 3 * width, 5),
             dout = random_values<float>(rows * width, 6);
  GuardedBuffer<float> out(rows * width), stats(2 * 3 * 33 * 2), dqkv(rows * 3 * width);
  cpu::attention(DType::f32, out.data(), stats.data(), qkv.data(), nullptr, nullptr, shape, {});
  cpu::attention_backward(DType::f32, dqkv.data(), dout.data(), stats.data(), qkv.data(), nullptr,
                          nullptr, shape, {});
  CHECK(out.intact());
  CHECK(stats.intact());
  CHECK(dqkv.intact());
  for (const float v : out.span()) CHECK(std::isfinite(v));
  for (const float v : dqkv.span()) CHECK(std::isfinite(v));
  GuardedBuffer<float> y(rows * width), rstd(rows);
  cpu::rms_norm(DType::f32, y.data(), rstd.data(), dout.data(), nullptr, rows, width, 1e-5, {});
  CHECK(y.intact());
  CHECK(rstd.intact());
}

TEST_CASE("flag_nonfinite finds one bad value and nothing else") {
  for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    auto x = random_values<float>(9001, 7);
    int32_t flag = 0;
    cpu::flag_nonfinite(DType::f32, &flag, x.data(), 9001, {});
    CHECK(flag == 0);
    x[8999] = static_cast<float>(bad);
    cpu::flag_nonfinite(DType::f32, &flag, x.data(), 9001, {});
    CHECK(flag == 1);
  }
}

TEST_CASE("argmax takes the first of equal values") {
  const std::vector<float> x = {1, 3, 3, 2, 0, 0};
  float value[2];
  int32_t index[2];
  cpu::max(DType::f32, value, index, x.data(), 2, 3, 1, {});
  CHECK(index[0] == 1);
  CHECK(index[1] == 0);
}

TEST_CASE("bfloat16 rounds to nearest even and keeps NaN and infinity") {
  CHECK(static_cast<float>(bfloat16(1.0f)) == 1.0f);
  CHECK(bfloat16(1.00390625f).bits == 0x3f80);  // halfway: to even
  CHECK(bfloat16(1.01171875f).bits == 0x3f82);
  CHECK(std::isnan(static_cast<float>(bfloat16(NAN))));
  // Every pattern of the upper half, with lower halves below, at and above the middle.
  for (uint32_t upper = 0; upper < 0x10000; ++upper)
    for (const uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const uint32_t bits = upper << 16 | lower;
      const auto value = std::bit_cast<float>(bits);
      const bool up = lower > 0x8000 || (lower == 0x8000 && upper % 2 == 1);
      const uint32_t want = std::isnan(value) ? upper | 0x40 : upper + (up ? 1 : 0);
      if (bfloat16(value).bits != want) FAIL("bits ", bits);
      const bool signalling = std::isnan(value) && (upper & 0x40) == 0;  // no operation gives it
      bfloat16 assigned;
      assign(assigned, value);
      if (!signalling && (std::bit_cast<uint32_t>(rounded<bfloat16>(value)) != want << 16 ||
                          assigned.bits != want))
        FAIL("result with bits ", bits);
    }
  CHECK(std::isinf(static_cast<float>(bfloat16(INFINITY))));
}

TEST_CASE("philox: known answer, offsets and bounds") {
  // Salmon et al. 2011, Random123's known-answer test for counter 0, key 0.
  const PhiloxBlock block = philox(0, 0);
  const auto& c = block.word;
  CHECK(c[0] == 0x6627e8d5u);
  CHECK(c[1] == 0xe169c58du);
  CHECK(c[2] == 0xbc57ac4cu);
  CHECK(c[3] == 0x9b00dbd8u);
  Random a(5), b(5, 100);
  const auto whole = a.uniform({200}, -1, 1).to_vector(),
             tail = b.uniform({100}, -1, 1).to_vector();
  CHECK(std::equal(tail.begin(), tail.end(), whole.begin() + 100));
  for (const double v : a.randint({1000}, 2, 5).to_vector()) CHECK((v >= 2 && v <= 5));
  int64_t counts[7] = {};
  for (int i = 0; i < 7000; ++i) ++counts[a.below(7)];
  for (const int64_t n : counts) CHECK(std::abs(static_cast<double>(n) - 1000) < 150);
  CHECK(Random(1).fork("x").bits() != Random(1).fork("y").bits());
}

#include <cmath>

#include "autograd/ops/ops.h"
#include "nn/layers.h"
#include "tests/support/op_cases.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

LayerOptions in_f64(Random& random) {
  LayerOptions options;
  options.dtype = DType::f64;
  options.random = &random;
  return options;
}

}  // namespace

TEST_CASE("layer norm: a row known by hand, with weight and bias") {
  Random random(1);
  LayerNorm norm(4, in_f64(random));
  const Tensor x = from_vector<double>({1, 2, 3, 6}, {1, 4});  // mean 3, variance 3.5
  const double rstd = 1 / std::sqrt(3.5 + 1e-5);
  const std::vector<double> plain = norm.forward(x).to_vector();
  const std::vector<double> want = {-2 * rstd, -rstd, 0, 3 * rstd};
  for (size_t i = 0; i < 4; ++i) CHECK(plain[i] == doctest::Approx(want[i]));
  norm.weight.value.detach().copy_from(from_vector<double>({1, 2, 3, 4}, {4}));
  norm.bias.value.detach().copy_from(from_vector<double>({5, 6, 7, 8}, {4}));
  const std::vector<double> scaled = norm.forward(x).to_vector();
  for (size_t i = 0; i < 4; ++i) {
    const auto k = static_cast<double>(i);
    CHECK(scaled[i] == doctest::Approx((k + 1) * want[i] + k + 5));
  }
}

TEST_CASE("layer norm: bad weights get a line") {
  const Tensor x = zeros({2, 3}), three = zeros({3}), four = zeros({4});
  const std::string line = "[layer_norm] weight and bias of f32(2, 3) must be f32(3), got ";
  expect_error([&] { layer_norm(x, four, three); }, line + "f32(4) and f32(3)");
  expect_error([&] { layer_norm(x, three, three.to(DType::f64)); }, line + "f32(3) and f64(3)");
  expect_error(
      [&] {
        layer_norm(zeros({2, 0}), zeros({0}), zeros({0}));
      },
      "[layer_norm] the last dimension must not be empty, got shape (2, 0)");
}

TEST_CASE("attention: with a bias, it is that of the biased projections") {
  Random random(2);
  Attention attend(8, 2, in_f64(random), true);
  attend.qkv_proj.bias.value.detach().copy_from(random.normal({24}, 1, DType::f64));
  attend.o_proj.bias.value.detach().copy_from(random.normal({8}, 1, DType::f64));
  const Tensor x = random.normal({2, 5, 8}, 1, DType::f64);
  const auto project = [](const Linear& l, const Tensor& t) {
    return matmul(t, transpose(l.weight.value, 0, 1)) + l.bias.value;
  };
  const Tensor want =
      project(attend.o_proj, attention_reference(project(attend.qkv_proj, x), 2, nullptr));
  CHECK(largest_difference({attend.forward(x, nullptr)}, {want}) < 1e-12);
  CHECK(attend.named_parameters().size() == 4);
}

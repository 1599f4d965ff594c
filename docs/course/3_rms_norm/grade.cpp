#include "docs/course/grade.h"

#include "autograd/custom_function.h"
#include "autograd/gradcheck.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/rms_norm.h"
#include "docs/course/3_rms_norm/exercise.h"

namespace hrm::course {
namespace {

constexpr double kEps = 1e-5;

// The exercise as an operation that autograd records.
Tensor recorded_rms_norm(const Tensor& x) {
  return custom_function(
      "rms_norm", {x},
      [](CustomContext& context, const Tensors& in) {
        const auto [y, rstd] = rms_norm_forward(in[0], kEps);
        context.save("y", y);
        context.save("rstd", rstd);
        return Tensors{y};
      },
      [](const Saved& saved, const Tensors& dy) {
        return Tensors{rms_norm_backward(saved["y"], saved["rstd"], dy[0].contiguous())};
      })[0];
}

}  // namespace

TEST_CASE("forward: by hand, the root of the mean of the squares is 5") {
  // (1 + 49) / 2 = 25
  const auto [y, rstd] = rms_norm_forward(f64({{1, 7}}), 0);
  CHECK(difference(y, f64({{0.2, 1.4}})) == "");
  CHECK(difference(rstd, f64({0.2})) == "");
}

TEST_CASE("forward: each row has a root of its own") {
  const auto [y, rstd] = rms_norm_forward(f64({{3, 3}, {-4, 4}}), 0);
  CHECK(difference(y, f64({{1, 1}, {-1, 1}})) == "");
  CHECK(difference(rstd, f64({1 / 3.0, 0.25})) == "");
}

TEST_CASE("forward: the mean is not taken away first (that is LayerNorm)") {
  CHECK(difference(rms_norm_forward(f64({{2, 2, 2}}), 0).y, f64({{1, 1, 1}})) == "");
}

TEST_CASE("forward: a row of zeros stays zero") {
  CHECK(difference(rms_norm_forward(f64({{0, 0}}), kEps).y, f64({{0, 0}})) == "");
}

TEST_CASE("forward: eps is added below the root") {
  // mean(x^2) = 1e-6, and 1 / sqrt(1e-6 + 3e-6) = 500.
  const auto [y, rstd] = rms_norm_forward(f64({{1e-3, -1e-3}}), 3e-6);
  CHECK(difference(rstd, f64({500}), 1e-9) == "");
  CHECK(difference(y, f64({{0.5, -0.5}}), 1e-9) == "");
}

TEST_CASE("forward: the same as the library's") {
  Random random(1);
  const Tensor x = random.normal({7, 13}, 2, DType::f64);
  CHECK(difference(rms_norm_forward(x, kEps).y, hrm::rms_norm(x, kEps)) == "");
}

TEST_CASE("backward: by hand, a row cannot grow") {
  // y does not change if x becomes longer: the part of dy along y has no effect.
  CHECK(difference(rms_norm_backward(f64({{1, 1}}), f64({0.5}), f64({{3, 3}})), f64({{0, 0}})) ==
        "");
  CHECK(difference(rms_norm_backward(f64({{1, 1}}), f64({0.5}), f64({{1, -1}})),
                   f64({{0.5, -0.5}})) == "");
}

TEST_CASE("backward: the root depends on x, too") {
  // dx = rstd (dy - y mean(dy y)): here mean(dy y) = 1/2.
  CHECK(difference(rms_norm_backward(f64({{1, 1}}), f64({2}), f64({{1, 0}})), f64({{1, -1}})) ==
        "");
}

TEST_CASE("backward: each row has a gradient of its own") {
  const Tensor y = f64({{1, 1}, {1, -1}});
  CHECK(difference(rms_norm_backward(y, f64({1, 10}), f64({{1, -1}, {1, 1}})),
                   f64({{1, -1}, {10, 10}})) == "");
}

TEST_CASE("backward: it agrees with finite differences") {
  Random random(2);
  const Tensor x = random.normal({3, 5}, 1, DType::f64).set_requires_grad();
  CHECK(gradcheck([](const Tensors& in) { return Tensors{recorded_rms_norm(in[0])}; }, {x}) == "");
}

}  // namespace hrm::course

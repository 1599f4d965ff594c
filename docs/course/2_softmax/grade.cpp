#include "docs/course/grade.h"

#include <limits>

#include "autograd/custom_function.h"
#include "autograd/gradcheck.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/reduce.h"
#include "docs/course/2_softmax/exercise.h"

namespace hrm::course {
namespace {

// The exercise as an operation that autograd records.
Tensor recorded_softmax(const Tensor& x) {
  return custom_function(
      "softmax", {x},
      [](CustomContext& context, const Tensors& in) {
        const Tensor y = softmax_forward(in[0]);
        context.save("y", y);
        return Tensors{y};
      },
      [](const Saved& saved, const Tensors& dy) {
        return Tensors{softmax_backward(saved["y"], dy[0].contiguous())};
      })[0];
}

}  // namespace

TEST_CASE("forward: shares of a row by hand") {
  const double two = std::log(2.0), four = std::log(4.0);
  CHECK(difference(softmax_forward(f64({{0, two, four}})), f64({{1 / 7.0, 2 / 7.0, 4 / 7.0}})) ==
        "");
}

TEST_CASE("forward: every row adds up to 1, not every column") {
  Random random(1);
  const Tensor y = softmax_forward(random.normal({3, 5}, 2, DType::f64));
  CHECK(difference(y.sum(1), f64({1, 1, 1})) == "");
}

TEST_CASE("forward: a row of one element is all of it") {
  CHECK(difference(softmax_forward(f64({{-3}, {8}})), f64({{1}, {1}})) == "");
}

TEST_CASE("forward: large numbers do not overflow") {
  const double e = std::exp(-1.0);
  CHECK(difference(softmax_forward(f64({{1000, 1001}})), f64({{e / (1 + e), 1 / (1 + e)}})) == "");
  CHECK(difference(softmax_forward(f64({{1e300, 0}})), f64({{1, 0}})) == "");
}

TEST_CASE("forward: a row far below the others is a row like any other") {
  CHECK(difference(softmax_forward(f64({{2000, 2000}, {-2000, -2000}})),
                   f64({{0.5, 0.5}, {0.5, 0.5}})) == "");
}

TEST_CASE("forward: minus infinity has no share") {
  const double never = -std::numeric_limits<double>::infinity();
  CHECK(difference(softmax_forward(f64({{1, never, 1}})), f64({{0.5, 0, 0.5}})) == "");
}

TEST_CASE("forward: the same as the library's") {
  Random random(2);
  const Tensor x = random.normal({7, 11}, 3, DType::f64);
  CHECK(difference(softmax_forward(x), hrm::softmax(x)) == "");
}

TEST_CASE("backward: by hand, for two equal shares") {
  // dx = y (dy - sum(dy y)) with y = 1/2: a share grows at the cost of the other.
  CHECK(difference(softmax_backward(f64({{0.5, 0.5}}), f64({{1, 0}})), f64({{0.25, -0.25}})) == "");
}

TEST_CASE("backward: the gradient of a row adds up to 0") {
  // A number that is added to a whole row changes nothing.
  Random random(3);
  const Tensor y = softmax_forward(random.normal({4, 6}, 1, DType::f64));
  const Tensor dx = softmax_backward(y, random.normal({4, 6}, 1, DType::f64));
  CHECK(difference(dx.sum(1), zeros({4}, DType::f64)) == "");
}

TEST_CASE("backward: it agrees with finite differences") {
  Random random(4);
  const Tensor x = random.normal({3, 5}, 1, DType::f64).set_requires_grad();
  CHECK(gradcheck([](const Tensors& in) { return Tensors{recorded_softmax(in[0])}; }, {x}) == "");
}

}  // namespace hrm::course

#include "docs/course/grade.h"

#include "autograd/custom_function.h"
#include "autograd/gradcheck.h"
#include "autograd/ops/arithmetic.h"
#include "docs/course/1_broadcast_add/exercise.h"

namespace hrm::course {
namespace {

// The exercise as an operation that autograd records.
Tensor recorded_add(const Tensor& a, const Tensor& b) {
  return custom_function(
      "broadcast_add", {a, b},
      [](CustomContext&, const Tensors& in) { return Tensors{broadcast_add(in[0], in[1])}; },
      [sa = a.shape(), sb = b.shape()](const Saved&, const Tensors& dy) {
        const Tensor dense = dy[0].contiguous();
        return Tensors{broadcast_add_backward(dense, sa), broadcast_add_backward(dense, sb)};
      })[0];
}

// "" if the gradients of the sum of two random tensors agree with finite differences.
std::string wrong_gradient(const Shape& a, const Shape& b) {
  Random random(3);
  const Tensor x = random.normal(a, 1, DType::f64).set_requires_grad();
  const Tensor y = random.normal(b, 1, DType::f64).set_requires_grad();
  return gradcheck([](const Tensors& in) { return Tensors{recorded_add(in[0], in[1])}; }, {x, y});
}

}  // namespace

TEST_CASE("shape: two equal shapes stay as they are") {
  CHECK(broadcast_shape({2, 3}, {2, 3}) == Shape{2, 3});
}

TEST_CASE("shape: a dimension of 1 takes the size of the other, on either side") {
  CHECK(broadcast_shape({2, 1}, {2, 3}) == Shape{2, 3});
  CHECK(broadcast_shape({4, 1, 3}, {1, 5, 3}) == Shape{4, 5, 3});
}

TEST_CASE("shape: dimensions are missing on the left, not on the right") {
  CHECK(broadcast_shape({2, 3}, {3}) == Shape{2, 3});
  CHECK(broadcast_shape({3}, {4, 2, 3}) == Shape{4, 2, 3});
  CHECK(broadcast_shape({}, {2}) == Shape{2});
}

TEST_CASE("shape: sizes that do not fit are an error") {
  CHECK(error_of([] { broadcast_shape({2, 3}, {2}); }) != "");
  CHECK(error_of([] { broadcast_shape({2, 3}, {2, 4}); }) != "");
  CHECK(error_of([] { broadcast_shape({3, 3}, {2, 3}); }) != "");
}

TEST_CASE("sum: equal shapes, element by element") {
  CHECK(difference(broadcast_add(f64({{1, 2}, {3, 4}}), f64({{10, 20}, {30, 40}})),
                   f64({{11, 22}, {33, 44}})) == "");
}

TEST_CASE("sum: a row is added to each row of a matrix") {
  CHECK(difference(broadcast_add(f64({{1, 2, 3}, {4, 5, 6}}), f64({10, 20, 30})),
                   f64({{11, 22, 33}, {14, 25, 36}})) == "");
}

TEST_CASE("sum: a column and a row make a table") {
  CHECK(difference(broadcast_add(f64({{1}, {2}}), f64({{10, 20, 30}})),
                   f64({{11, 21, 31}, {12, 22, 32}})) == "");
}

TEST_CASE("sum: a tensor without dimensions is a number") {
  CHECK(difference(broadcast_add(f64(5), f64({1, 2})), f64({6, 7})) == "");
}

TEST_CASE("sum: the same as the library's for three dimensions") {
  Random random(1);
  const Tensor a = random.normal({4, 1, 3}, 1, DType::f64);
  const Tensor b = random.normal({5, 1}, 1, DType::f64);
  CHECK(difference(broadcast_add(a, b), a + b) == "");
}

TEST_CASE("gradient: it has the shape of the operand, not that of the sum") {
  const Tensor dy = ones({2, 3}, DType::f64);
  CHECK(broadcast_add_backward(dy, {2, 3}).shape() == Shape{2, 3});
  CHECK(broadcast_add_backward(dy, {3}).shape() == Shape{3});
  CHECK(broadcast_add_backward(dy, {2, 1}).shape() == Shape{2, 1});
  CHECK(broadcast_add_backward(dy, {}).shape() == Shape{});
}

TEST_CASE("gradient: it is summed over a dimension of 1 that was repeated") {
  const Tensor dy = f64({{1, 2, 3}, {10, 20, 30}});
  CHECK(difference(broadcast_add_backward(dy, {2, 1}), f64({{6}, {60}})) == "");
}

TEST_CASE("gradient: it is summed over a dimension that was missing") {
  const Tensor dy = f64({{1, 2, 3}, {10, 20, 30}});
  CHECK(difference(broadcast_add_backward(dy, {3}), f64({11, 22, 33})) == "");
  CHECK(difference(broadcast_add_backward(dy, {}), f64(66)) == "");
}

TEST_CASE("gradient: an operand that was not repeated gets dy as it is") {
  const Tensor dy = f64({{1, 2}, {3, 4}});
  CHECK(difference(broadcast_add_backward(dy, {2, 2}), dy) == "");
}

TEST_CASE("gradient: it agrees with finite differences") {
  CHECK(wrong_gradient({2, 3}, {2, 3}) == "");
  CHECK(wrong_gradient({2, 3}, {3}) == "");
  CHECK(wrong_gradient({4, 1, 3}, {5, 1}) == "");
}

}  // namespace hrm::course

// What is typed at a tensor: literals, operators, indexing, and functions that are made of others.
#include <cmath>

#include "autograd/checkpoint.h"
#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "tensor/random.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {
using Values = std::vector<double>;
}

TEST_CASE("literals have the shape in which they are written") {
  CHECK(tensor(3).shape() == Shape({}));
  CHECK(tensor({1, 2, 3}).shape() == Shape({3}));
  CHECK(tensor({{1, 2}, {3, 4.5}}).to_vector() == Values{1, 2, 3, 4.5});
  CHECK(tensor({{{1}, {2}}, {{3}, {4}}}).shape() == Shape({2, 2, 1}));
  CHECK(tensor({1, 0}, DType::u8).dtype() == DType::u8);
  CHECK(tensor({}).shape() == Shape({0}));
  expect_error(
      [] {
        tensor({{1, 2}, {3}});
      },
      "[tensor] the parts of a list must have one shape, got (2) and (1)");
  expect_error([] { tensor({1, {2}}); }, "must have one shape");
}

TEST_CASE("ranges, distances and identities") {
  CHECK(arange(3).to_vector() == Values{0, 1, 2});
  CHECK(arange(2, 7, 2).to_vector() == Values{2, 4, 6});
  CHECK(arange(5, 0, -2).to_vector() == Values{5, 3, 1});
  CHECK(arange(5, 0).numel() == 0);
  CHECK(arange(0, 4, 1, DType::f64).dtype() == DType::f64);
  expect_error([] { arange(0, 4, 0); }, "[arange] the step must not be 0");
  CHECK(linspace(0, 1, 5).to_vector() == Values{0, 0.25, 0.5, 0.75, 1});
  CHECK(linspace(2, 3, 1).to_vector() == Values{2});
  CHECK(linspace(0.1, 0.7, 7, DType::f64).to_vector().back() == 0.7);
  CHECK(eye(2).to_vector() == Values{1, 0, 0, 1});
  CHECK(eye(0).shape() == Shape({0, 0}));
}

TEST_CASE("rand and randn draw from the stream that manual_seed begins") {
  manual_seed(3);
  const Tensor a = randn({50}), b = rand({50});
  manual_seed(3);
  CHECK(randn({50}).to_vector() == a.to_vector());
  CHECK(rand({50}).to_vector() == b.to_vector());
  CHECK(randn({50}).to_vector() != a.to_vector());
  for (const DType dtype : {DType::bf16, DType::f32, DType::f64}) {
    const Tensor c = rand({4000}, dtype);
    CHECK(min(c).item() >= 0);
    CHECK(max(c).item() < 1);
    CHECK(std::abs(mean(c.to(DType::f64)).item() - 0.5) < 0.03);
  }
}

TEST_CASE("positions and ranges give views") {
  const Tensor x = arange(12, DType::f32).view({3, 4});
  CHECK(x[1].to_vector() == Values{4, 5, 6, 7});
  CHECK(x[-1][0].item() == 8);
  CHECK(x[Slice(1)].shape() == Shape({2, 4}));
  CHECK(x.index({Slice(), 1}).to_vector() == Values{1, 5, 9});
  CHECK(x.index({Slice(0, 3, 2), Slice(-2)}).to_vector() == Values{2, 3, 10, 11});
  CHECK(x.index({0, Slice(1, -1)}).to_vector() == Values{1, 2});
  CHECK(x[Slice(2, 1)].numel() == 0);  // as in Python
  CHECK(x[Slice(1, 99)].numel() == 8);
  x[0].fill(7);
  CHECK(x[Slice(0, 1)].to_vector() == Values{7, 7, 7, 7});
  expect_error([&] { x[3]; }, "[select] position 3 is outside of dimension 0 of (3, 4)");
  expect_error([&] { x[-4]; }, "position -4 is outside");
  expect_error([&] { x.index({0, 0, 0}); }, "3 positions and ranges are more than the dimensions");
  expect_error([&] { x[Slice(0, 2, 0)]; }, "[slice] the step must be 1 or more, got 0");
  expect_error([&] { x[0][0][0]; }, "[select]");
}

TEST_CASE("what is assigned to a view is written to it") {
  Tensor x = zeros({2, 3});
  x[0] = tensor({1, 2, 3});
  x.index({Slice(), 2}) = 7;
  x[1][0] = tensor(5);
  CHECK(x.to_vector() == Values{1, 2, 7, 5, 0, 7});
  x.index({Slice(), 1}).fill(4);
  CHECK(x.index({Slice(), 1}).to_vector() == Values{4, 4});
  x.T().unsqueeze(0)[0] += 1;
  CHECK(x.to_vector() == Values{2, 5, 8, 6, 5, 8});
  const Tensor y = x;
  x = zeros({1});  // a name, not a view: y stays
  CHECK(y.numel() == 6);
  expect_error([&] { y[0] = zeros({2}); }, "(2)");
  expect_error(
      [&] {
        zeros({1, 3}).expand({2, 3}) += 1;
      },
      "[copy_from] dimension 0 of (2, 3) was expanded");
}

TEST_CASE("leaves keep gradients of their own") {
  const auto leaf = [] { return zeros({2}).set_requires_grad(); };
  Tensor a = leaf(), b = leaf();
  (a + b).sum().backward();
  a.grad() *= 5;
  CHECK(b.grad().to_vector() == Values{1, 1});
  const Tensor cotangent = ones({2});
  Tensor c = leaf();
  backward(c + 0, cotangent);
  c.grad() *= 3;
  CHECK(cotangent.to_vector() == Values{1, 1});
}

TEST_CASE("matrices that do not lie at equal distances are multiplied rightly") {
  Random random(3);
  const Tensor x = random.normal({4, 1, 6, 3, 3}, 1, DType::f64),
               w = random.normal({3, 3}, 1, DType::f64);
  const Tensor part = x.index({Slice(), Slice(), Slice(0, 3)});
  CHECK(matmul(part, w).to_vector() == matmul(part.clone(), w).to_vector());
  const Tensor one = x.index({Slice(), Slice(), Slice(0, 1)});
  CHECK(matmul(one, one.clone()).to_vector() == matmul(one.clone(), one).to_vector());
  const Tensor thin = unsqueeze(x[0][0], 1);
  CHECK(matmul(thin, thin).to_vector() == matmul(thin.clone(), thin.clone()).to_vector());
}

TEST_CASE("a checkpoint notices that its function has written to an input") {
  Tensor x = tensor({1, 2});
  Tensor w = tensor({3, 4}).set_requires_grad();
  const Tensors y = checkpoint(
      [](const Tensors& in) {
        Tensor h = in[0];
        h += 1;
        return Tensors{h * in[1]};
      },
      {x, w});
  expect_error([&] { backward(sum(y[0])); }, "modified in place");
}

TEST_CASE("scalars stand on either side of arithmetic and comparisons") {
  const Tensor x = tensor({1, 2, 4});
  CHECK((x / 2).to_vector() == Values{0.5, 1, 2});
  CHECK((4 / x).to_vector() == Values{4, 2, 1});
  CHECK((1.0 + x).to_vector() == Values{2, 3, 5});
  CHECK((1 - x).to_vector() == Values{0, -1, -3});
  CHECK((x > 2).to_vector() == Values{0, 0, 1});
  CHECK((x >= 2).to_vector() == Values{0, 1, 1});
  CHECK((x < 2).to_vector() == Values{1, 0, 0});
  CHECK((x <= 2).to_vector() == Values{1, 1, 0});
  CHECK((x == 2).to_vector() == Values{0, 1, 0});
  CHECK((x != 2).to_vector() == Values{1, 0, 1});
  CHECK((2 > x).to_vector() == Values{1, 0, 0});
  CHECK((2 <= x).to_vector() == Values{0, 1, 1});
  CHECK((2 == x).to_vector() == Values{0, 1, 0});
  const Tensor y = tensor({2, 2, 2});
  CHECK((x < y).to_vector() == Values{1, 0, 0});
  CHECK((x == y).to_vector() == Values{0, 1, 0});
  CHECK(logical_not(x > 2).to_vector() == Values{1, 1, 0});
  CHECK(logical_and(x > 1, x < 4).to_vector() == Values{0, 1, 0});
  CHECK(logical_or(x<2, x> 2).to_vector() == Values{1, 0, 1});
  const Tensor nan = tensor({NAN});
  for (const Tensor& mask : {nan == nan, nan > 0, nan < 0, nan <= 0}) CHECK(mask.item() == 0);
  CHECK((nan != nan).item() == 1);
}

TEST_CASE("integers take whole numbers, and means do not") {
  const Tensor x = arange(4), bytes = tensor({0, 5, 255}, DType::u8);
  CHECK(sum(bytes).item() == 260);
  CHECK(bytes.sum(0).item() == 260);
  CHECK(min(bytes).item() == 0);
  CHECK(max(bytes).item() == 255);
  CHECK(min(tensor({-2147483648.0, 5}, DType::i32)).item() == -2147483648.0);
  CHECK((1 - (x > 1)).to_vector() == Values{1, 1, 0, 0});
  CHECK((tensor(-2147483648.0, DType::i32) / -1).item() == -2147483648.0);
  CHECK((x / 0).to_vector() == Values{0, 0, 0, 0});
  expect_error([&] { return x >= 2.5; },
               "a tensor of i32 takes whole numbers from -2147483648 to 2147483647, got 2.5");
  expect_error([&] { x / 0.5; }, "takes whole numbers");
  expect_error([&] { clamp(x, 0.5, 2); }, "takes whole numbers");
  expect_error([&] { x + 3e9; }, "got 3e+09");
  expect_error([&] { tensor({300}, DType::u8); },
               "[tensor] a tensor of u8 takes whole numbers from 0 to 255, got 300");
  expect_error([&] { full({2}, -1, DType::u8); }, "[fill] a tensor of u8");
  CHECK((x * 3 + 1).to_vector() == Values{1, 4, 7, 10});
  expect_error([&] { x * 0.5; }, "got 0.5");
  expect_error([&] { x + 0.5; }, "got 0.5");
  expect_error([&] { mean(x); }, "[mean] needs a floating dtype, got i32");
  expect_error([&] { exp(x); }, "[exp] needs a floating dtype, got i32");
  expect_error([&] { pow(x, 2.5); }, "[pow] needs a floating dtype");
  expect_error([&] { cumsum(x, 0); }, "[cumsum] needs a floating dtype");
  CHECK(minimum(x, tensor(2, DType::i32)).to_vector() == Values{0, 1, 2, 2});
}

TEST_CASE("+= writes where nothing records") {
  Tensor x = tensor({1, 2});
  const Tensor same = x;
  x += 1;
  x *= tensor({2, 3});
  x -= 1;
  x /= 2;
  CHECK(same.to_vector() == Values{1.5, 4});
  Tensor rows = zeros({2, 2});
  rows[0] += tensor({5, 6});
  rows[1] -= 1;
  rows[1] *= 2;
  rows.index({Slice(), 0}) /= 2;
  CHECK(rows.to_vector() == Values{2.5, 6, -1, -2});
  expect_error([&] { x += zeros({3, 2}); }, "[+=] a tensor of shape (2) cannot hold the result");
}

TEST_CASE("+= keeps gradients where autograd records, and says where it cannot") {
  Tensor w = tensor({1, 2}).set_requires_grad();
  Tensor total = zeros({2});
  {
    const Tensor same = total;
    expect_error([&] { total += w; }, "[+=] another tensor shares the memory of this one");
    Tensor row = total[Slice(0, 1)];
    expect_error([&] { row *= w[Slice(0, 1)]; }, "[*=] another tensor shares the memory");
  }
  Tensor number = zeros({});
  expect_error([&] { number += w; }, "[+=] a tensor of shape () cannot hold the result");
  for (int i = 0; i < 3; ++i) total += w * w;
  total *= 2;
  total.sum().backward();
  CHECK(w.grad().to_vector() == Values{12, 24});
  expect_error([&] { w -= 1; }, "[-=] would change a leaf that requires a gradient");
  expect_error([&] { zeros({2, 2})[0] += w; }, "[copy_from] would cut the gradient");
  {
    const NoGradGuard no_grad;
    w -= w.grad() * 0.5;
  }
  CHECK(w.requires_grad());
  CHECK(w.to_vector() == Values{-5, -10});
}

TEST_CASE("reductions of all elements") {
  const Tensor x = tensor({{1, 2}, {3, 6}});
  CHECK(mean(x).item() == 3);
  CHECK(max(x).item() == 6);
  CHECK(min(x).item() == 1);
  CHECK(var(x).item() == doctest::Approx(14.0 / 3));
  CHECK(var(x, 1).to_vector() == Values{0.5, 4.5});
  CHECK(var(x, 1, true, 0).to_vector() == Values{0.25, 2.25});
  CHECK(softmax(x, 0).to_vector()[0] == doctest::Approx(1 / (1 + std::exp(2))));
  CHECK(cumsum(x, 0).to_vector() == Values{1, 2, 4, 8});
  CHECK(tensor({{1, 9}, {8, 2}, {3, 4}}).argmax(0).to_vector() == Values{1, 0});
  CHECK(zeros({2, 3, 4}).argmax(0).shape() == Shape({3, 4}));
  CHECK(cumsum(x, 1, Direction::backward).to_vector() == Values{3, 2, 9, 6});
}

TEST_CASE("topk: in descending order, equal ones as they lie, NaN first") {
  const Tensor x = tensor({{1, 5, 5, 2, 5}, {NAN, 0, 3, NAN, -INFINITY}});
  const auto [values, positions] = topk(x, 4);
  CHECK(positions.to_vector() == Values{1, 2, 4, 3, 0, 3, 2, 1});
  CHECK(values[0].to_vector() == Values{5, 5, 5, 2});
  CHECK(topk(x, 0).first.shape() == Shape({2, 0}));
  CHECK(topk(arange(5), 2).first.to_vector() == Values{4, 3});
  Tensor y = tensor({3, 1, 2}).set_requires_grad();
  topk(y, 2).first.sum().backward();
  CHECK(y.grad().to_vector() == Values{1, 0, 1});
  expect_error([&] { topk(x, 6); }, "[topk] k must be in 0..5");
}

TEST_CASE("topk, cumsum and windows: the CPU's values on every device") {
  for (const Device device : devices()) {
    Random random(5);
    const Tensor x = random.randint({7, 40}, -5, 5).to(DType::f32);  // many equal ones
    const auto [values, positions] = topk(x.to(device), 6);
    CHECK(positions.to_vector() == topk(x, 6).second.to_vector());
    CHECK(values.to_vector() == topk(x, 6).first.to_vector());
    CHECK(cumsum(x.to(device), 0).to_vector() == cumsum(x, 0).to_vector());
    const Tensor images = random.normal({2, 3, 7, 5}, 1);
    CHECK(im2col(images.to(device), 3, 2, 1).to_vector() == im2col(images, 3, 2, 1).to_vector());
  }
}

TEST_CASE("shapes: dimensions of size 1, flattening, triangles, classes") {
  const Tensor x = arange(6, DType::f32).view({2, 3});
  CHECK(unsqueeze(x, 0).shape() == Shape({1, 2, 3}));
  CHECK(unsqueeze(x, -1).shape() == Shape({2, 3, 1}));
  CHECK(squeeze(unsqueeze(unsqueeze(x, 0), 3)).shape() == Shape({2, 3}));
  CHECK(flatten(zeros({2, 3, 4}), 1).shape() == Shape({2, 12}));
  CHECK(flatten(zeros({2, 3, 4})).shape() == Shape({24}));
  CHECK(flatten(tensor(3)).shape() == Shape({1}));
  CHECK(x.T().shape() == Shape({3, 2}));
  CHECK(tril(x).to_vector() == Values{0, 0, 0, 3, 4, 0});
  CHECK(triu(x, 1).to_vector() == Values{0, 1, 2, 0, 0, 5});
  CHECK(one_hot(tensor({2, 0}, DType::i32), 3).to_vector() == Values{0, 0, 1, 1, 0, 0});
  expect_error([] { one_hot(tensor({3}, DType::i32), 3); }, "[one_hot] index 0 must be in 0..2");
  expect_error([&] { squeeze(x, 0); }, "[squeeze] dimension 0 of (2, 3) must have size 1");
  expect_error([] { tril(tensor({1, 2})); }, "[tril] needs two dimensions");
  expect_error([] { tensor({1, 2}).T(); }, "[T] needs two dimensions");
}

TEST_CASE("pow: gradients at 0 and of whole powers") {
  Tensor x = tensor({0, 2, -3}, DType::f64).set_requires_grad();
  pow(x, 3).sum().backward();
  CHECK(x.grad().to_vector() == Values{0, 12, 27});
  x.set_grad({});
  pow(x, 0).sum().backward();
  CHECK(x.grad().to_vector() == Values{0, 0, 0});
  Tensor p = tensor({2.0, 3.0}, DType::f64).set_requires_grad();
  pow(tensor({0, 1}, DType::f64), p).sum().backward();
  CHECK(p.grad().to_vector() == Values{0, 0});
}

TEST_CASE("einsum: known sums, and equations that make no sense") {
  const Tensor a = arange(6, DType::f32).view({2, 3}), b = arange(12, DType::f32).view({3, 4});
  CHECK(einsum("ij,jk->ik", {a, b}).to_vector() == matmul(a, b).to_vector());
  CHECK(einsum("ij,jk", {a, b}).to_vector() == matmul(a, b).to_vector());
  CHECK(einsum("ij->ji", {a}).to_vector() == a.T().to_vector());
  CHECK(einsum("i j -> ", {a}).item() == 15);
  CHECK(einsum("ij,ij->", {a, a}).item() == 55);
  CHECK(einsum("i,j->ij", {tensor({1, 2}), tensor({3, 4})}).to_vector() == Values{3, 4, 6, 8});
  CHECK(einsum("ij,jk,ik->", {a, b, matmul(a, b)}).item() == sum(square(matmul(a, b))).item());
  expect_error([&] { einsum("ij,jk->ik", {a, a}); }, "'j' stands for 3 and for 2");
  expect_error([&] { einsum("ij->ij", {a, b}); }, "has 1 operands, got 2");
  expect_error([&] { einsum("ijk->ij", {a}); }, "must have a letter for each dimension of (2, 3)");
  expect_error([&] { einsum("ii->", {a}); }, "names 'i' twice in one operand");
  expect_error([&] { einsum("ij->ik", {a}); }, "must name letters of its operands once");
  expect_error([&] { einsum("i...->i", {a}); }, "may hold letters, commas and one arrow, got '.'");
}

TEST_CASE("convolutions: a sum that is known by hand, and sizes that do not fit") {
  const Tensor x = arange(16, DType::f32).view({1, 1, 4, 4});
  const Tensor sums = conv2d(x, ones({1, 1, 2, 2}));
  CHECK(sums.shape() == Shape({1, 1, 3, 3}));
  CHECK(sums.to_vector() == Values{10, 14, 18, 26, 30, 34, 42, 46, 50});
  CHECK(conv2d(x, ones({1, 1, 2, 2}), tensor({1}), 2).to_vector() == Values{11, 19, 43, 51});
  CHECK(conv2d(x, ones({1, 1, 3, 3}), {}, 1, 1).shape() == Shape({1, 1, 4, 4}));
  CHECK(conv2d(x, ones({1, 1, 3, 3}), {}, 1, 1).to_vector()[0] == 0 + 1 + 4 + 5);
  CHECK(max_pool2d(x, 2).to_vector() == Values{5, 7, 13, 15});
  expect_error([&] { conv2d(x, ones({1, 2, 2, 2})); }, "[conv2d] needs x [batch, in, height");
  expect_error([&] { im2col(x, 5); }, "a window of 5 x 5 is larger than images of (1, 1, 4, 4)");
  expect_error([&] { im2col(x, 2, 0); }, "a stride of 1 or more");
  expect_error([&] { im2col(x[0], 2); }, "[im2col] needs images");
  expect_error([&] { max_pool2d(x, 3); }, "must be multiples of 3");
}

TEST_CASE("clamp and relu: NaN stays, bounds must be in order") {
  CHECK(clamp(tensor({-1, 0.5, 2}), 0, 1).to_vector() == Values{0, 0.5, 1});
  CHECK(std::isnan(relu(tensor({NAN})).item()));
  CHECK(std::isnan(clamp(tensor({NAN}), 0, 1).item()));
  expect_error([] { clamp(tensor({1}), 1, 0); }, "the lower bound must not be above the upper one");
}

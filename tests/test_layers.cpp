#include <cmath>

#include "autograd/grad_mode.h"
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

TEST_CASE("layer norm, dropout, cross entropy: large ones have the same bits with any threads") {
  const auto run = [](int threads) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    Random random(8);
    const auto variable = [&](const Shape& shape) {
      return random.normal(shape, 1).set_requires_grad();
    };
    const Tensor x = variable({700, 40}), w = variable({40}), b = variable({40});
    const Tensor y = dropout(layer_norm(x, w, b), {0.2, 6});
    const Tensor losses = bce_with_logits(y, random.uniform({700, 40}, 0, 1));
    Tensors all = grad({sum(losses)}, {x, w, b});
    all.push_back(y.detach());
    all.push_back(losses.detach());
    omp_set_num_threads(before);
    return all;
  };
  const Tensors one = run(1);
  CHECK(same_bits(run(2), one));
  CHECK(same_bits(run(5), one));
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
  // Position 0 of it, recorded or not, whichever weight is trained.
  const auto first = [&] { return attend.forward_first(x, nullptr).detach(); };
  const Tensor at_first = slice(want, 1, 0, 1);
  CHECK(largest_difference({first()}, {at_first}) < 1e-12);
  attend.qkv_proj.weight.value.set_requires_grad(false);
  CHECK(largest_difference({first()}, {at_first}) < 1e-12);
  const NoGradGuard no_grad;
  CHECK(largest_difference({first()}, {at_first}) < 1e-12);
}

TEST_CASE("attention of position 0 reads no other query, on every device") {
  for (const Device device : devices())
    for (const auto& [seq, heads, dim] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 16},
                                          {9, 2, 10},
                                          {40, 2, 32},
                                          {97, 1, 64},
                                          {130, 1, 16}})
      for (const DType t : {DType::f32, DType::bf16, DType::f64}) {
        Random random(seq);
        const int64_t width = heads * dim;
        Tensor qkv = random.normal({2, seq, 3 * width}, 1, t);
        const RopeTables tables = rope_tables(seq, dim, 100, accumulate_type(t), device);
        const Tensor want = slice(attention(qkv.to(device), heads, &tables), 1, 0, 1);
        qkv.slice(1, 1, seq).slice(2, 0, width).copy_from(full({2, seq - 1, width}, NAN, t));
        const Tensor got = attention_first(qkv.to(device), heads, &tables);
        // A GPU has another kernel for one query of a long sequence in bf16.
        const bool other = device == Device::cuda && t == DType::bf16 && seq > 96;
        CHECK_MESSAGE(largest_difference({got}, {want}) <= (other ? 0.02 : 0), t);
      }
}

TEST_CASE("attention of position 0 needs a position") {
  expect_error(
      [] {
        attention_first(zeros({2, 0, 12}), 2, nullptr);
      },
      "[attention_first] needs a position, got (2, 0, 12)");
}

TEST_CASE("linear_into writes rows that lie apart, and nothing else, on every device") {
  for (const Device device : devices()) {
    Random random(4);
    const Tensor x = random.normal({3, 10}, 1, DType::f32, device);
    const Tensor weight = random.normal({4, 5}, 1, DType::f32, device);
    Tensor all = full({3, 9}, 7, DType::f32, device), y = all.slice(1, 2, 6);
    const Tensor part = x.slice(1, 3, 8);
    linear_into(y, part, weight);
    CHECK(largest_difference({y.clone()}, {linear(part.clone(), weight)}) < 1e-6);
    for (const Tensor& rest : {all.slice(1, 0, 2), all.slice(1, 6, 9)})
      for (const double v : rest.clone().to_vector()) CHECK(v == 7);
    const Tensor needs = weight.clone().set_requires_grad();
    expect_error([&] { linear_into(y, part, needs); }, "linear_into");
    expect_error([&] { linear_into(y, x, weight); },
                 "[linear_into] needs x [rows, in], weight [out, in] and y [rows, out]");
  }
}

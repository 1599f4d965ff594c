// The tape: engine, grad(), hooks, versions, custom functions, checkpointing, very long chains.
#include <cmath>

#include "autograd/checkpoint.h"
#include "autograd/custom_function.h"
#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/gradcheck.h"
#include "autograd/op_trace.h"
#include "autograd/ops/ops.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {
Tensor scalar(double v) { return full({}, v, DType::f64).set_requires_grad(); }
}  // namespace

TEST_CASE("backward accumulates into leaves and sums several uses") {
  Tensor x = scalar(3);
  backward(x * x + x * 2.0);
  CHECK(x.grad().item() == 8);
  backward(x * 5.0);
  CHECK(x.grad().item() == 13);
}

TEST_CASE("the gradient of a shared cotangent is not aliased") {
  Tensor a = zeros({3}, DType::f64).set_requires_grad(),
         b = zeros({3}, DType::f64).set_requires_grad();
  backward(sum(a + b));  // add hands the same tensor to both inputs
  backward(sum(a * 2.0));
  CHECK(a.grad().to_vector() == std::vector<double>{3, 3, 3});
  CHECK(b.grad().to_vector() == std::vector<double>{1, 1, 1});
}

TEST_CASE("grad() touches no .grad, prunes, and reaches inner tensors") {
  Tensor x = scalar(2), w = scalar(5);
  const Tensor y = x * w, z = y * y;
  const Tensors g = grad({z}, {y, x}, {}, true);
  CHECK(g[0].item() == 20);
  CHECK(g[1].item() == 100);
  CHECK_FALSE(x.grad().defined());
  CHECK_FALSE(w.grad().defined());
  CHECK(grad({z}, {w})[0].item() == 40);
  Tensor unrelated = scalar(1);
  CHECK_FALSE(grad({x * 2.0}, {unrelated})[0].defined());
}

TEST_CASE("a pruned run does not compute what nobody asked for") {
  Tensor x = scalar(2), w = scalar(3);
  bool asked_w = false;
  const Tensor y = record("probe", x.detach() * w.detach(), {x, w}, {},
                          [&](const Saved& saved, const Tensor& dy) {
                            asked_w = saved.needs(1);
                            return Tensors{dy * 3.0, saved.needs(1) ? dy * 2.0 : Tensor()};
                          });
  CHECK(grad({y}, {x}, {}, true)[0].item() == 3);
  CHECK_FALSE(asked_w);
  grad({y}, {w});
  CHECK(asked_w);
}

TEST_CASE("the graph is released unless it is retained") {
  Tensor x = scalar(2);
  const Tensor y = exp(x);
  backward(y, {}, true);
  backward(y);
  expect_error([&] { backward(y); }, "was already released. HINT: pass retain_graph");
}

TEST_CASE("NoGradGuard and detach stop recording") {
  Tensor x = scalar(2);
  {
    const NoGradGuard no_grad;
    CHECK_FALSE((x * x).requires_grad());
  }
  CHECK((x * x).requires_grad());
  CHECK_FALSE((x.detach() * 3.0).requires_grad());
  expect_error([&] { backward(x.detach() * 3.0); }, "requires no gradient");
  expect_error([&] { backward(expand(x, {3})); },
               "a cotangent is needed for an output of shape (3)");
}

TEST_CASE("a saved tensor modified in place is an error") {
  Tensor x = ones({3}, DType::f64).set_requires_grad();
  Tensor h = x * 2.0;
  const Tensor y = sum(h * h);
  h.detach().fill(0);
  expect_error([&] { backward(y); }, "was modified in place before backward");
}

TEST_CASE("a write that would make a gradient wrong is refused") {
  Tensor x = ones({3}, DType::f64).set_requires_grad();
  Tensor h = x * 2.0, buffer = zeros({3}, DType::f64);
  const auto hint = "HINT: write to a detach().clone()";
  expect_error([&] { h.fill(0); }, hint);
  expect_error([&] { h.copy_from(buffer); }, hint);
  expect_error([&] { Random(1).uniform_into(h, 0, 1); }, hint);
  expect_error([&] { buffer.copy_from(h); }, "[copy_from] would cut the gradient of its source");
  Tensor copy = h.detach().clone();
  copy.fill(0);
  buffer.copy_from(h.detach());
  CHECK(buffer.to_vector() == std::vector<double>{2, 2, 2});
  x.fill(5);  // a leaf takes a new value, and gradients from there on are of that value
  backward(sum(x * x));
  CHECK(x.grad().to_vector() == std::vector<double>{10, 10, 10});
}

TEST_CASE("members of a tensor carry the gradient") {
  Tensor x = ones({2, 3}).set_requires_grad();
  const auto y = [&] { return x * 2.0; };
  backward(sum(y().view({6})) + sum(x));
  CHECK(x.grad().to_vector() == std::vector<double>(6, 3));
  x.set_grad({});
  backward(sum(y().to(DType::f64)) + sum(x).to(DType::f64));
  CHECK(x.grad().to_vector() == std::vector<double>(6, 3));
  x.set_grad({});
  backward(sum(y().detach().view({6})) + sum(x));
  CHECK(x.grad().to_vector() == std::vector<double>(6, 1));
  const NoGradGuard no_grad;
  CHECK_FALSE(y().view({6}).requires_grad());
}

TEST_CASE("an operation is one node, also of operands that lie across") {
  Random random(2);
  const auto across = [&](const Shape& shape) {
    const Shape turned = {shape[1], shape[0]};
    return transpose(random.normal(turned, 1, DType::f64).set_requires_grad(), 0, 1);
  };
  const Tensor x = across({4, 6}), w = across({8, 6}), half = across({8, 3}), r = across({4, 8});
  Tensor b = random.normal({8}, 1, DType::f64).set_requires_grad();
  const auto sequence = [&] { return gradient_node(b * 1.0)->sequence(); };
  sequence();  // the leaf b gets its node now
  const auto one_node = [&](const std::string& name, const std::function<Tensor()>& op) {
    const uint64_t before = sequence();
    CHECK_MESSAGE(op().requires_grad(), name);
    CHECK_MESSAGE(sequence() - before == 2, name);
  };
  const auto packed = std::make_shared<PackedWeight>();
  const Tensor labels = zeros({4}, DType::i32), batch = select(expand(x, {2, 1, 4, 6}), 1, 0);
  one_node("exp", [&] { return exp(x); });
  one_node("add", [&] { return x + x; });
  one_node("add3", [&] { return add3(x, x, x); });
  one_node("affine", [&] { return x * 2.0; });
  one_node("sum", [&] { return sum(x); });
  one_node("sum of a dimension", [&] { return sum(x, 0); });
  one_node("max", [&] { return max(x, 1); });
  one_node("softmax", [&] { return softmax(x); });
  one_node("cast", [&] { return cast(x, DType::f32); });
  one_node("concat", [&] { return concat({x, x}, 0); });
  one_node("pad", [&] { return pad(x, 0, 1, 1); });
  one_node("matmul", [&] { return matmul(x, w.detach().transpose(0, 1)); });
  one_node("linear", [&] { return linear(x, w, {}, b, packed); });
  one_node("linear of a batch", [&] { return linear(batch, w); });
  one_node("swiglu_linear", [&] { return swiglu_linear(x, half, {}, packed); });
  one_node("swiglu", [&] { return swiglu(x); });
  one_node("rms_norm", [&] { return rms_norm(x); });
  one_node("add_rms_norm", [&] { return add_rms_norm(x, x); });
  const Tensor weight = ones({6}, DType::f64).set_requires_grad();
  layer_norm(x, weight, weight);  // as above
  one_node("layer_norm", [&] { return layer_norm(x, weight, weight); });
  one_node("attention", [&] { return attention(batch, 1, nullptr); });
  one_node("embedding", [&] { return embedding(x, labels); });
  one_node("cross_entropy",
           [&] { return cross_entropy(LossType::softmax_cross_entropy, x, labels); });
}

TEST_CASE("hooks see and replace gradients, at leaves once with the full sum") {
  Tensor x = scalar(3);
  int calls = 0;
  register_hook(x, [&](const Tensor& g) {
    ++calls;
    CHECK(g.item() == 8);
    return Tensor();
  });
  const Tensor y = x * x;
  register_hook(y, [](const Tensor& g) { return g * 1.0; });
  backward(y + x * 2.0);
  CHECK(calls == 1);
  Tensor z = scalar(1);
  const Tensor h = z * 4.0;
  register_hook(h, [](const Tensor& g) { return g * 10.0; });
  backward(h * 1.0);
  CHECK(z.grad().item() == 40);
}

TEST_CASE("what has no gradient has none to ask for, to hook or to check") {
  Tensor x = scalar(2);
  const Tensor constant = full({}, 3, DType::f64), y = x * constant;
  expect_error(
      [&] {
        grad({y}, {x, constant});
      },
      "[grad] input 1 requires no gradient. HINT: set_requires_grad() on it before");
  CHECK(grad({y}, {x})[0].item() == 3);  // nothing was released
  expect_error([&] { register_hook(constant, [](const Tensor& g) { return g; }); },
               "[register_hook] the tensor requires no gradient. HINT: set_requires_grad() first");
  const auto twice = [](const Tensors& in) { return Tensors{in[0] * 2.0}; };
  Tensor made = scalar(2) * scalar(3);
  expect_error([&] { made.set_requires_grad(false); }, "HINT: detach() gives the same data");
  Tensor leaf = scalar(2);
  CHECK_FALSE(leaf.set_requires_grad(false).requires_grad());
  CHECK_FALSE(made.detach().set_requires_grad(false).requires_grad());
  expect_error([&] { gradcheck(twice, {ones({2}).set_requires_grad()}); },
               "[gradcheck] inputs must be f64, got f32");
}

TEST_CASE("hooks may call grad() re-entrantly") {
  Tensor x = scalar(3);
  double inner = 0;
  const Tensor y = x * x;
  register_hook(y, [&](const Tensor&) {
    Tensor t = scalar(5);
    const GradModeGuard record(true);
    inner = grad({t * t}, {t})[0].item();
    return Tensor();
  });
  backward(y * 1.0);
  CHECK(inner == 10);
  CHECK(x.grad().item() == 6);
}

TEST_CASE("a custom function has several inputs and outputs") {
  const auto swap_scale = [](const Tensors& in) {
    return custom_function(
        "swap_scale", in,
        [](CustomContext& context, const Tensors& t) {
          context.save("a", t[0]);
          return Tensors{t[1] * 2.0, t[0] * t[0]};
        },
        [](const Saved& saved, const Tensors& g) {
          return Tensors{g[1] * saved["a"] * 2.0, g[0] * 2.0};
        });
  };
  Random random(1);
  CHECK(gradcheck(swap_scale, {random.normal({3}, 1, DType::f64).set_requires_grad(),
                               random.normal({3}, 1, DType::f64).set_requires_grad()}) == "");
  // An output that nobody used counts as zero.
  Tensor a = scalar(3), b = scalar(4);
  backward(swap_scale({a, b})[1]);
  CHECK(a.grad().item() == 6);
  CHECK(b.grad().item() == 0);
}

TEST_CASE("a rule that returns a wrong shape or count is an error") {
  Tensor x = ones({3}, DType::f64).set_requires_grad();
  const auto bad = [&](const Tensors& result) {
    return record("bad", x.detach().clone(), {x}, {},
                  [result](const Saved&, const Tensor&) { return result; });
  };
  expect_error([&] { backward(sum(bad({ones({2}, DType::f64)}))); }, "must be f64(3), got f64(2)");
  expect_error([&] { backward(sum(bad({}))); }, "must return 1 gradients, got 0");
}

TEST_CASE("checkpointing gives the same gradients, weights included") {
  Random random(4);
  Tensor w = random.normal({5, 5}, 1, DType::f64).set_requires_grad();
  Tensor x = random.normal({3, 5}, 1, DType::f64).set_requires_grad();
  const auto body = [&](const Tensors& in) {
    return Tensors{tanh(linear(tanh(linear(in[0], w)), w))};
  };
  backward(sum(body({x})[0]));
  const auto gx = x.grad().to_vector(), gw = w.grad().to_vector();
  x.set_grad({});
  w.set_grad({});
  backward(sum(checkpoint(body, {x, w})[0]));
  CHECK(x.grad().to_vector() == gx);
  CHECK(w.grad().to_vector() == gw);
  x.set_grad({});
  w.set_grad({});
  CHECK(grad({sum(checkpoint(body, {x, w})[0])}, {w})[0].to_vector() == gw);
  CHECK_FALSE(w.grad().defined());
  const Tensor y = sum(checkpoint(body, {x, w})[0]);
  {
    const NoGradGuard no_grad;
    w.detach().fill(0);
  }
  expect_error([&] { backward(y); }, "was modified in place before backward");
}

TEST_CASE("a chain of a million nodes runs and is freed without recursion") {
  Tensor x = scalar(1);
  Tensor y = x;
  for (int i = 0; i < 1000000; ++i) y = y + 0.0;
  backward(y);
  CHECK(x.grad().item() == 1);
  Tensor z = x;
  for (int i = 0; i < 1000000; ++i) z = z + 0.0;
  z = Tensor();  // freed without ever running backward
}

TEST_CASE("a line of the trace: shapes, time, the rate that fits, kernels") {
  const Tensor a = zeros({2, 3}), b = zeros({3, 4}), y = zeros({2, 4});
  trace::Kernels kernels;
  kernels.seconds = {{"gemm", 0.001}};
  kernels.flops = 5e9;
  const std::string product = trace_line("matmul", {y}, {a, b}, kernels);
  CHECK(product.starts_with("matmul  "));
  CHECK(product.find(" f32 (2, 4) <- (2, 3) (3, 4) ") != std::string::npos);
  CHECK(product.find("1.000 ms    5000 GFLOP/s  gemm 1.000") != std::string::npos);
  kernels = {};
  kernels.seconds = {{"exp", 0.002}};
  const std::string one = trace_line("exp", {zeros({1000, 1000})}, {zeros({1000, 1000})}, kernels);
  CHECK(one.find("2.000 ms     4.0 GB/s") != std::string::npos);
  CHECK(one.find("exp 2.000") == std::string::npos);  // its only kernel, with its own name
  kernels.seconds = {{"fill", 0.001}, {"copy", 0.001}, {"fill", 0.001}};
  CHECK(trace_line("pad", {y}, {a}, kernels).find("fill (2) 2.000, copy 1.000") !=
        std::string::npos);
  CHECK(trace_line("none", {}, {}, {}).find("0.000 ms") != std::string::npos);
  CHECK(trace_line("many", {y}, Tensors(9, a), {}).find("(2, 3) and 5 more") != std::string::npos);
}

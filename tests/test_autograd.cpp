// The tape: engine, grad(), hooks, versions, custom functions, checkpointing, very long chains.
#include <cmath>

#include "autograd/checkpoint.h"
#include "autograd/custom_function.h"
#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/gradcheck.h"
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
  h.fill(0);
  expect_error([&] { backward(y); }, "was modified in place before backward");
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
  x.set_grad({}), w.set_grad({});
  backward(sum(checkpoint(body, {x, w})[0]));
  CHECK(x.grad().to_vector() == gx);
  CHECK(w.grad().to_vector() == gw);
  x.set_grad({}), w.set_grad({});
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

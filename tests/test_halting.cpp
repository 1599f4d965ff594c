#include <cmath>

#include "autograd/engine.h"
#include "autograd/gradcheck.h"
#include "autograd/ops/ops.h"
#include "nn/halting.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

// N tensors of `rows` draws from [low, high), leaves of a graph.
Tensors draws(Random& random, int64_t steps, int64_t rows, double low, double high,
              Device device = Device::cpu) {
  Tensors all;
  for (int64_t n = 0; n < steps; ++n) {
    all.push_back(random.uniform({rows}, low, high, DType::f64, device));
    all.back().set_requires_grad(true);
  }
  return all;
}

std::vector<std::vector<double>> values(const Tensors& tensors) {
  std::vector<std::vector<double>> all;
  for (const Tensor& t : tensors) all.push_back(t.to_vector());
  return all;
}

// <weights, y> summed over all rows, y constants.
Tensor dot(const Tensors& weights, const Tensors& y) { return sum(weighted_sum(weights, y)); }

}  // namespace

TEST_CASE("halting: ACT by hand: the remainder, a row that never halts, one that halts at once") {
  const auto column = [](std::vector<double> v) { return from_vector<double>(v, {4}); };
  // Rows: stops at 2; never; at once; exactly at the threshold of the second step.
  const Tensors h = {column({0.6, 0.1, 0.995, 0.5}), column({0.7, 0.1, 0.9, 0.49}),
                     column({0.9, 0.1, 0.9, 0.9})};
  const ActWeights w = act_weights(h, 0.01);
  const auto p = values(w.p);
  const std::vector<std::vector<double>> want = {
      {0.6, 0.1, 1, 0.5}, {0.4, 0.1, 0, 0.5}, {0, 0.8, 0, 0}};
  for (int n = 0; n < 3; ++n)
    for (int b = 0; b < 4; ++b) CHECK(p[n][b] == doctest::Approx(want[n][b]));
  CHECK(w.steps.to_vector() == std::vector<double>{2, 3, 1, 2});
  const std::vector<double> cost = {2.4, 3.8, 2, 2.5};
  for (int b = 0; b < 4; ++b) CHECK(w.cost.to_vector()[b] == doctest::Approx(cost[b]));
  CHECK(values(act_weights({h[1]}).p)[0] == std::vector<double>(4, 1));  // one step: all of it
  expect_error([] { act_weights({}); }, "[act_weights] at least one step is needed");
  expect_error([&] { act_weights({h[0], from_vector<double>({1}, {1})}); }, "must have one shape");
}

TEST_CASE("halting: ACT weights add up to 1, with the gradient of the definition, every device") {
  constexpr int64_t kSteps = 6, kRows = 40;
  constexpr double kTau = 0.3;
  for (const Device device : devices()) {
    Random random(3);
    const Tensors h = draws(random, kSteps, kRows, 0, 0.6, device);
    Tensors y;
    for (int64_t n = 0; n < kSteps; ++n) y.push_back(random.normal({kRows}, 1, DType::f64, device));
    const ActWeights w = act_weights(h);
    const auto p = values(w.p), g = values(y);
    const std::vector<double> steps = w.steps.to_vector();
    backward(dot(w.p, y) + kTau * sum(w.cost));
    for (int64_t b = 0; b < kRows; ++b) {
      double total = 0;
      const auto last = static_cast<int64_t>(steps[b]) - 1;
      for (int64_t n = 0; n < kSteps; ++n) {
        total += p[n][b];
        // N is a constant, and R = 1 - (h_1 + ... + h_{N - 1}).
        const double want = n < last ? g[n][b] - g[last][b] - kTau : 0;
        CHECK(h[n].grad().to_vector()[b] == doctest::Approx(want));
      }
      CHECK(total == doctest::Approx(1));
    }
  }
}

TEST_CASE("halting: PonderNet's probabilities, divergence and gradients, on every device") {
  constexpr int64_t kSteps = 5, kRows = 20;
  constexpr double kBeta = 0.7, kPrior = 0.2;
  for (const Device device : devices()) {
    Random random(4);
    const Tensors l = draws(random, kSteps, kRows, -3, 3, device);
    Tensors losses;
    for (int64_t n = 0; n < kSteps; ++n)
      losses.push_back(random.uniform({kRows}, 0, 2, DType::f64, device));
    const PonderWeights w = ponder_weights(l);
    const Tensor divergence = ponder_divergence(w, kPrior);
    backward(dot(w.p, losses) + kBeta * sum(divergence));
    const auto p = values(w.p), logits = values(l), loss = values(losses);
    for (int64_t b = 0; b < kRows; ++b) {
      std::vector<double> lambda, c, value(kSteps + 1, 0);
      double left = 1, total = 0, kl = 0;
      for (int64_t n = 0; n < kSteps; ++n) {
        const bool is_last = n + 1 == kSteps;
        lambda.push_back(is_last ? 1 : 1 / (1 + std::exp(-logits[n][b])));
        CHECK(p[n][b] == doctest::Approx(left * lambda[n]));
        left *= 1 - lambda[n];
        total += p[n][b];
        const double prior = std::pow(1 - kPrior, n) * (is_last ? 1 : kPrior);
        kl += p[n][b] * std::log(p[n][b] / prior);
        c.push_back(loss[n][b] + kBeta * std::log(p[n][b] / prior));
      }
      CHECK(total == doctest::Approx(1));
      CHECK(divergence.to_vector()[b] == doctest::Approx(kl));
      // V_n = lambda_n c_n + (1 - lambda_n) V_{n+1}: what is still to come at step n.
      for (int64_t n = kSteps - 1; n >= 0; --n)
        value[n] = lambda[n] * c[n] + (1 - lambda[n]) * value[n + 1];
      for (int64_t n = 0; n + 1 < kSteps; ++n)
        CHECK(l[n].grad().to_vector()[b] ==
              doctest::Approx(p[n][b] * (1 - lambda[n]) * (c[n] - value[n + 1])));
      const Tensor last = l[kSteps - 1].grad();
      CHECK((!last.defined() || last.to_vector()[b] == 0));
    }
  }
}

TEST_CASE("halting: PonderNet step by step is PonderNet at once, on every device") {
  constexpr int64_t kSteps = 4, kRows = 10;
  for (const Device device : devices()) {
    Random random(6);
    const Tensors l = draws(random, kSteps, kRows, -3, 3, device);
    const PonderWeights all = ponder_weights(l);
    const std::vector<double> divergence = ponder_divergence(all, 0.3).to_vector();
    std::vector<double> sum(kRows, 0);
    Tensor log_left = zeros({kRows}, DType::f64, device);
    for (int64_t n = 0; n < kSteps; ++n) {
      const Tensor number = full({kRows}, static_cast<double>(n + 1), DType::f64, device);
      const PonderStep step = ponder_step(log_left, l[n], number, kSteps, 0.3);
      const std::vector<double> p = step.p.to_vector(), want = all.p[n].to_vector();
      const std::vector<double> surplus = step.surplus.to_vector();
      for (int64_t b = 0; b < kRows; ++b) {
        CHECK(p[b] == doctest::Approx(want[b]));
        sum[b] += p[b] * surplus[b];
        if (n + 1 == kSteps) CHECK(step.stop.to_vector()[b] == 1);
      }
      log_left = step.log_left;
    }
    for (int64_t b = 0; b < kRows; ++b) CHECK(sum[b] == doctest::Approx(divergence[b]));
  }
}

TEST_CASE("halting: extreme logits stay finite, and gradients are those of differences") {
  const auto one = [](double v) { return from_vector<double>({v}, {1}); };
  const PonderWeights w = ponder_weights({one(-800), one(800), one(0)});
  for (const Tensor& t : w.p) CHECK(std::isfinite(t.to_vector()[0]));
  CHECK(std::isfinite(ponder_divergence(w, 0.2).to_vector()[0]));
  CHECK(w.p[1].to_vector()[0] == doctest::Approx(1));
  expect_error([&] { ponder_divergence(w, 1); }, "prior must be between 0 and 1, got 1");
  expect_error([&] { ponder_weights({}); }, "[ponder_weights] at least one step is needed");

  Random random(5);
  const Tensors l = draws(random, 3, 4, -1, 1);
  const Tensors y = {random.normal({4, 2}, 1, DType::f64), random.normal({4, 2}, 1, DType::f64),
                     random.normal({4, 2}, 1, DType::f64)};
  const auto ponder = [&](const Tensors& in) {
    const PonderWeights weights = ponder_weights(in);
    return Tensors{square(weighted_sum(weights.p, y)), ponder_divergence(weights, 0.3)};
  };
  CHECK(gradcheck(ponder, l) == "");
  const Tensors h = draws(random, 3, 4, 0.1, 0.3);
  const auto act = [&](const Tensors& in) {
    const ActWeights weights = act_weights(in);
    return Tensors{square(weighted_sum(weights.p, y)), weights.cost};
  };
  CHECK(gradcheck(act, h) == "");
  expect_error([&] { weighted_sum({y[0]}, y); }, "[weighted_sum] 1 weights are given for 3 steps");
}

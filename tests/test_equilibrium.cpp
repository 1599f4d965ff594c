// The equilibrium rules: their identities, and their solutions of linear problems against exact
// ones.
#include <cmath>

#include "autograd/engine.h"
#include "autograd/ops/ops.h"
#include "hrm/model/equilibrium.h"
#include "hrm/model/segment.h"
#include "tests/support/support.h"
#include "tests/support/tiny.h"

using namespace hrm;
using namespace hrm::test;

namespace {

ModelConfig tiny(const std::string& rule) {
  ModelConfig c = tiny_model();
  c.gradient = rule;
  return c;
}

// All gradients of one segment's loss under a rule.
std::vector<double> gradients(const ModelConfig& config, Device device = Device::cpu) {
  Random random(3), data(4);
  const Model model(config, &random, device);
  const Tensor inputs = data.randint({3, 5}, 1, 5).to(device),
               labels = data.randint({3, 5}, 2, 5).to(device);
  const Tensor rows = model.puzzle_emb->rows(zeros({3}, DType::i32, device), true);
  const State end = model.segment(model.initial_state(3), model.input_embeddings(inputs, rows));
  backward(loss_terms(config, model.heads(end.z_H), labels, {}).lm);
  std::vector<double> all;
  for (const auto& [name, p] : model.named_parameters())
    if (p->value.grad().defined())
      for (const double g : p->value.grad().to(Device::cpu).to_vector()) all.push_back(g);
  return all;
}

// u = g + A u row by row, with A = weight' of spectral radius below 1.
struct LinearProblem {
  Tensor weight, g;
  explicit LinearProblem(double scale, int64_t n = 12) {
    Random random(8);
    weight = random.normal({n, n}, scale / std::sqrt(static_cast<double>(n)), DType::f64);
    g = random.normal({4, n}, 1, DType::f64);
  }
  Equilibrium::Product product() const {
    return [this](const Tensor& u) { return linear(u, weight); };
  }
  double residual(const Tensor& u) const {
    const Tensor r = g + linear(u, weight) - u;
    return std::sqrt(sum(r * r).item() / sum(g * g).item());
  }
};

}  // namespace

TEST_CASE("equilibrium: no product is the one-step gradient; the others are not") {
  const auto one_step = gradients(tiny("one_step"));
  CHECK(relative_distance(gradients(tiny("neumann:0")), one_step) < 1e-14);
  CHECK(relative_distance(gradients(tiny("phantom:1:1")), one_step) < 1e-14);
  CHECK(relative_distance(gradients(tiny("anderson:1")), gradients(tiny("neumann:1"))) < 1e-12);
  CHECK(relative_distance(gradients(tiny("phantom:1:4")), gradients(tiny("neumann:3"))) < 1e-12);
  for (const char* rule :
       {"neumann:2", "phantom:0.5:3", "damped:0.5:2", "anderson:4", "broyden:4"}) {
    CAPTURE(rule);
    const auto g = gradients(tiny(rule));
    CHECK(relative_distance(g, one_step) > 1e-3);
    CHECK(std::all_of(g.begin(), g.end(), [](double v) { return std::isfinite(v); }));
  }
  ModelConfig single = tiny("neumann:2");
  single.levels = Levels::single;
  single.L_layers = 0;
  single.H_cycles = 1;
  single.L_cycles = 0;
  single.continue_loss = false;
  CHECK(gradients(single).size() > 100);
}

TEST_CASE(
    "equilibrium: at a fixed point Neumann(k-1) is backpropagation through k applications of F") {
  // A linear F that has come to rest: z_L <- A z_L + B z_H + x, z_H <- C z_H + D z_L.
  Random random(5);
  const int64_t n = 6;
  const auto matrix = [&] { return random.normal({n, n}, 0.15, DType::f64); };
  std::vector<Tensor> w = {matrix(), matrix(), matrix(), matrix()};
  for (Tensor& t : w) t.set_requires_grad();
  const Tensor x = random.normal({2, 1, n}, 1, DType::f64);
  const auto recurrence = [&](int64_t cycles) {
    Recurrence r;
    for (int64_t i = 0; i < cycles; ++i) r.updates.insert(r.updates.end(), {Level::L, Level::H});
    r.apply = [&](Level level, const State& s, const Tensor& input) -> State {
      if (level == Level::L) return {s.z_H, linear(s.z_L, w[0]) + linear(s.z_H, w[1]) + input};
      return {linear(s.z_H, w[2]) + linear(s.z_L, w[3]), s.z_L};
    };
    return r;
  };
  const auto solve = [&](const GradientStrategy& rule) {
    const State zero{zeros({2, 1, n}, DType::f64), zeros({2, 1, n}, DType::f64)};
    const State end = rule.run(recurrence(60), zero, x);  // at rest to rounding
    std::vector<double> all;
    for (const Tensor& t : grad({sum(end.z_H * end.z_H)}, w))
      for (const double g : t.to_vector()) all.push_back(g);
    return all;
  };
  for (const int64_t k : {1, 2, 5}) {
    CHECK(relative_distance(solve(Neumann(k - 1)), solve(LastK(2 * k))) < 1e-10);
    CHECK(relative_distance(solve(DampedUnrolling(1, k)), solve(LastK(2 * k))) < 1e-10);
  }
  const auto full = solve(FullBptt());
  CHECK(relative_distance(solve(Neumann(40)), full) < 1e-8);
  CHECK(relative_distance(solve(Anderson(25)), full) < 1e-5);
  CHECK(relative_distance(solve(Broyden(25)), full) < 1e-5);
  CHECK(relative_distance(solve(Phantom(0.5, 80)), full) < 1e-5);
  CHECK(relative_distance(solve(Neumann(1)), full) > 1e-3);
  // Every rule computes the same values: those of the segment.
  const State zero{zeros({2, 1, n}, DType::f64), zeros({2, 1, n}, DType::f64)};
  const auto want = FullBptt().run(recurrence(3), zero, x).z_H.to_vector();
  CHECK(relative_distance(DampedUnrolling(0.5, 2).run(recurrence(3), zero, x).z_H.to_vector(),
                          want) < 1e-14);
  CHECK(relative_distance(Broyden(3).run(recurrence(3), zero, x).z_H.to_vector(), want) < 1e-14);
}

TEST_CASE("equilibrium: solvers converge where the series does not, and say how far they are") {
  // Spectral radius about 0.5, 0.8 and 1.6.
  const LinearProblem mild(0.5), slow(0.8), steep(1.6);
  CHECK(mild.residual(Neumann(60).solve(mild.g, mild.product())) < 1e-6);
  CHECK(steep.residual(Neumann(60).solve(steep.g, steep.product())) > 1);
  const Broyden broyden(40);
  const double by_broyden = steep.residual(broyden.solve(steep.g, steep.product()));
  CHECK(by_broyden < 1e-5);
  const Anderson anderson(12);
  const Tensor u = anderson.solve(slow.g, slow.product());
  CHECK(slow.residual(u) < slow.residual(Neumann(12).solve(slow.g, slow.product())) / 4);
  REQUIRE(anderson.residual().shape() == Shape{4, 1});
  for (const double r : broyden.residual().to_vector()) CHECK(r < 1e-5);
  // A row that is solved stays as it is, whatever its neighbours do.
  LinearProblem mixed(0.5);
  Tensor g = mixed.g.clone();
  for (int64_t i = 0; i < g.size(1); ++i) g.data<double>()[i] = 0;  // row 0: u = 0
  for (const double v : Anderson(6).solve(g, mixed.product()).slice(0, 0, 1).to_vector())
    CHECK(v == 0);
}

TEST_CASE("equilibrium: the rules give the same gradients on every device") {
  for (const char* rule : {"neumann:2", "damped:0.5:2", "anderson:4", "broyden:4"}) {
    CAPTURE(rule);
    const auto want = gradients(tiny(rule));
    for (const Device device : devices())
      CHECK(relative_distance(gradients(tiny(rule), device), want) < 1e-7);
  }
}

TEST_CASE("equilibrium: a rule that does not exist is refused") {
  for (const auto& [name, message] : std::vector<std::pair<std::string, const char*>>{
           {"", "gradient must be one of one_step, last_k:K"},
           {":", "gradient must be one of one_step, last_k:K"},
           {"one_stpe", "did you mean 'one_step'?"},
           {"neumann", "must be of the form neumann:K, got 'neumann'"},
           {"one_step:2", "must be of the form one_step, got 'one_step:2'"},
           {"last_k:2:", "must be of the form last_k:K, got 'last_k:2:'"},
           {"phantom:0.5", "must be of the form phantom:LAMBDA:K"},
           {"last_k:", "last_k:K: K must be a whole number in 1..1000000, got 'last_k:'"},
           {"last_k:abc", "K must be a whole number"},
           {"last_k:0", "K must be a whole number in 1.."},
           {"neumann:-1", "K must be a whole number in 0.."},
           {"neumann:1.5", "K must be a whole number"},
           {"anderson:0", "K must be a whole number"},
           {"phantom:2:3", "LAMBDA must be a number in 1e-06..1, got 'phantom:2:3'"},
           {"damped:nan:1", "LAMBDA must be a number"},
           {"damped:x:y", "damped:LAMBDA:K: LAMBDA must be a number"}}) {
    const std::string rule = name;  // clang captures no structured binding
    CAPTURE(rule);
    expect_error([&] { make_gradient_strategy(tiny(rule)); }, message);
    expect_error([&] { tiny(rule).validate(); }, message);
  }
}

TEST_CASE("the cost of a rule is what it records and multiplies by") {
  const auto cost = [](const char* rule, double updates) {
    const GradientCost c = make_gradient_strategy(tiny(rule))->cost(updates);
    return std::pair(c.recorded, c.products);
  };
  CHECK(cost("one_step", 6) == std::pair(2.0, 2.0));
  CHECK(cost("one_step", 1) == std::pair(1.0, 1.0));
  CHECK(cost("last_k:4", 6) == std::pair(4.0, 4.0));
  CHECK(cost("full_bptt", 6) == std::pair(6.0, 6.0));
  CHECK(cost("checkpointed", 9) == std::pair(6.0, 13.5));
  CHECK(cost("neumann:0", 6) == cost("one_step", 6));
  CHECK(cost("broyden:5", 6) == std::pair(2.0, 12.0));
  CHECK(cost("damped:0.5:3", 6) == std::pair(6.0, 9.0));
}

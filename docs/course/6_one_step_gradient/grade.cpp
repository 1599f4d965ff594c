#include "docs/course/grade.h"

#include <cstdio>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "docs/course/6_one_step_gradient/exercise.h"
#include "tensor/random.h"

namespace hrm::course {
namespace {

double last_state(const Scalar& r) {
  double z = r.z_0;
  for (int i = 0; i < r.steps; ++i) z = std::tanh(r.w * z + r.x);
  return z;
}

// d(last state) / dw by a small change of w.
double by_difference(Scalar r) {
  constexpr double h = 1e-6;
  const double w = r.w;
  r.w = w + h;
  const double above = last_state(r);
  r.w = w - h;
  return (above - last_state(r)) / (2 * h);
}

// A small HRM: two states, a matrix for each level, and a note of what was recorded.
struct TinyModel {
  explicit TinyModel(int64_t updates) {
    Random random(1);
    const auto matrix = [&] { return random.normal({3, 3}, 0.7, DType::f64).set_requires_grad(); };
    const auto tokens = [&] { return random.normal({1, 2, 3}, 1, DType::f64).set_requires_grad(); };
    L = matrix();
    H = matrix();
    x = tokens();
    start = {tokens(), tokens()};
    for (const Level level : update_list(Levels::two, {2, 2})) recurrence.updates.push_back(level);
    recurrence.updates.resize(static_cast<size_t>(updates));
    recurrence.apply = [this](Level level, const State& s, const Tensor& input) {
      recorded.push_back(grad_enabled());
      if (level == Level::H) return State{tanh(matmul(s.z_H + s.z_L, H)), s.z_L};
      return State{s.z_H, tanh(matmul(s.z_L + s.z_H + input, L))};
    };
  }
  // All updates, recorded from the first on.
  State run_all() {
    State state = start;
    for (const Level level : recurrence.updates) state = recurrence.apply(level, state, x);
    return state;
  }
  // All but the last two without a history, then those: what the one-step gradient sees.
  State run_from_constant() {
    State state = start.detach();
    const size_t constant = recurrence.updates.size() - 2;
    for (size_t i = 0; i < recurrence.updates.size(); ++i) {
      state = recurrence.apply(recurrence.updates[i], state, x);
      if (i + 1 == constant) state = state.detach();
    }
    return state;
  }
  Tensors gradients(const State& end) const {
    return grad({sum(square(end.z_H))}, {L, H, x, start.z_H, start.z_L});
  }

  Tensor L, H, x;
  State start;
  Recurrence recurrence;
  std::vector<bool> recorded;  // of each application, in order
};

double cosine(const Tensor& a, const Tensor& b) {
  return sum(a * b).item() / std::sqrt(sum(a * a).item() * sum(b * b).item());
}

}  // namespace

TEST_CASE("numbers: one step, where both gradients are the same") {
  const Scalar once{0.5, 0.3, 0.8, 1};
  const double z = std::tanh(0.7);  // 0.5 * 0.8 + 0.3
  CHECK(full_gradient(once) == doctest::Approx((1 - z * z) * 0.8));
  CHECK(one_step_gradient(once) == doctest::Approx((1 - z * z) * 0.8));
}

TEST_CASE("numbers: the full gradient agrees with finite differences") {
  for (const int steps : {2, 3, 10}) {
    CHECK(full_gradient({0.5, 0.3, 0.8, steps}) ==
          doctest::Approx(by_difference({0.5, 0.3, 0.8, steps})).epsilon(1e-6));
    CHECK(full_gradient({-1.3, 0.2, 0.1, steps}) ==
          doctest::Approx(by_difference({-1.3, 0.2, 0.1, steps})).epsilon(1e-6));
  }
}

TEST_CASE("numbers: the one-step gradient is the last step's share alone") {
  const Scalar before{0.5, 0.3, 0.8, 9};
  Scalar all = before;
  all.steps = 10;
  const double z = last_state(all);
  CHECK(one_step_gradient(all) == doctest::Approx((1 - z * z) * last_state(before)));
}

TEST_CASE("numbers: near a fixed point the full gradient is longer by 1 / (1 - slope)") {
  // Why the cheap one will do: with w > 0 both point the same way.
  const Scalar settled{0.5, 0.3, 0.8, 200};
  const double z = last_state(settled);
  const double slope = (1 - z * z) * settled.w;
  CHECK(full_gradient(settled) == doctest::Approx(one_step_gradient(settled) / (1 - slope)));
}

TEST_CASE("model: the values are those of running all updates") {
  TinyModel model(6);
  const State end = run_one_step(model.recurrence, model.start, model.x);
  CHECK(model.recorded.size() == 6);
  const State wanted = model.run_all();
  CHECK(difference(end.z_H, wanted.z_H) == "");
  CHECK(difference(end.z_L, wanted.z_L) == "");
}

TEST_CASE("model: only the last two updates are recorded") {
  TinyModel model(6);
  run_one_step(model.recurrence, model.start, model.x);
  CHECK(model.recorded == std::vector<bool>{false, false, false, false, true, true});
}

TEST_CASE("model: the weights of both levels have the gradient of their last update") {
  TinyModel model(6);
  const Tensors got = model.gradients(run_one_step(model.recurrence, model.start, model.x));
  const Tensors wanted = model.gradients(model.run_from_constant());
  REQUIRE(got[0].defined());
  REQUIRE(got[1].defined());
  CHECK(difference(got[0], wanted[0]) == "");
  CHECK(difference(got[1], wanted[1]) == "");
}

TEST_CASE("model: the input of the last L update has a gradient, too") {
  TinyModel model(6);
  const Tensors got = model.gradients(run_one_step(model.recurrence, model.start, model.x));
  REQUIRE(got[2].defined());
  CHECK(difference(got[2], model.gradients(model.run_from_constant())[2]) == "");
}

TEST_CASE("model: no gradient reaches the state at the beginning") {
  TinyModel model(6);
  const Tensors got = model.gradients(run_one_step(model.recurrence, model.start, model.x));
  CHECK(!got[3].defined());
  CHECK(!got[4].defined());
}

TEST_CASE("model: with two updates or fewer all are recorded") {
  TinyModel one(1);
  run_one_step(one.recurrence, one.start, one.x);
  CHECK(one.recorded == std::vector<bool>{true});
  TinyModel two(2);
  run_one_step(two.recurrence, two.start, two.x);
  CHECK(two.recorded == std::vector<bool>{true, true});
}

TEST_CASE("model: recording is on again afterwards") {
  TinyModel model(6);
  run_one_step(model.recurrence, model.start, model.x);
  CHECK(grad_enabled());
}

// Not graded: how far the cheap gradient is from the full one.
TEST_CASE("how close the two are, for information") {
  TinyModel model(6);
  const Tensors full = model.gradients(model.run_all());
  const Tensors one = model.gradients(run_one_step(model.recurrence, model.start, model.x));
  REQUIRE(one[0].defined());
  REQUIRE(one[1].defined());
  std::printf("cosine of one-step and full gradient: L %.3f, H %.3f\n", cosine(one[0], full[0]),
              cosine(one[1], full[1]));
}

}  // namespace hrm::course

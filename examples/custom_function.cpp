// An operation with a gradient rule of your own: rounding that passes its gradient straight through
// (Bengio et al. 2013), checked where it can be and used where finite differences would see
// nothing.
#include <cstdio>

#include <hrm/hrm.h>

using namespace hrm;

// x^3, the long way: what forward saves, backward finds by name.
Tensor cube(const Tensor& x) {
  return custom_function(
      "cube", {x},
      [](CustomContext& context, const Tensors& in) {
        context.save("x", in[0]);
        return Tensors{in[0] * in[0] * in[0]};
      },
      [](const Saved& saved, const Tensors& dy) {
        return Tensors{dy[0] * square(saved["x"]) * 3.0};
      })[0];
}

// Rounds to whole numbers; the gradient pretends that nothing happened.
Tensor straight_through_round(const Tensor& x) {
  return custom_function(
      "round", {x},
      [](CustomContext&, const Tensors& in) {
        return Tensors{cast(cast(in[0] + 0.5, DType::i32), in[0].dtype())};  // for x >= 0
      },
      [](const Saved&, const Tensors& dy) { return dy; })[0];
}

int main() {
  Random random(1);
  Tensor x = random.normal({5}, 1, DType::f64).set_requires_grad();
  const std::string problem =
      gradcheck([](const Tensors& in) { return Tensors{cube(in[0])}; }, {x});
  std::printf("cube: %s\n",
              problem.empty() ? "gradient agrees with finite differences" : problem.c_str());

  // Gradient descent through the rounding: find w with round(w) = 7.
  Tensor w = full({1}, 1.2).set_requires_grad();
  for (int step = 0; step < 40; ++step) {
    backward(sum(square(straight_through_round(w) - 7.0)));
    w = (w.detach() - w.grad() * 0.05).set_requires_grad();
  }
  std::printf("round(%.2f) = %.0f\n", w.item(), straight_through_round(w).item());
  return problem.empty() && straight_through_round(w).item() == 7 ? 0 : 1;
}

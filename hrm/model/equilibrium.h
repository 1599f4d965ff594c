// Rules that treat the end of a segment as a fixed point z = F(z, x), where F is one L update and
// then one H update (a single-level model: its one update). With g = dL/dz, J = dF/dz and B =
// dF/dtheta at the last application, the gradient of a fixed point is B' u with u = g + J' u. Each
// rule below is a way to get an u; it replaces the cotangent g at the end of the last application,
// which alone is recorded. HRM's states do not come to rest, so all of them are biased there: hrm
// lab gradients.
//
//     const Neumann rule(4);
//     const State end = rule.run(model.recurrence(), state, x);   // backward: four products
#pragma once

#include "hrm/model/gradient_strategy.h"

namespace hrm {

class Equilibrium : public GradientStrategy {
 public:
  explicit Equilibrium(int64_t k) : k_(k) {}  // products with J', at most
  State run(const Recurrence& recurrence, State state, const Tensor& x) const override;
  GradientCost cost(double updates) const override;

  // [batch, n]: all parts of the state of a row, side by side.
  using Product = std::function<Tensor(const Tensor& u)>;  // J' u
  virtual Tensor solve(const Tensor& g, const Product& product) const = 0;
  // |u - g - J'u| / |g| of every row, [batch, 1], as the last backward left it; rules that iterate
  // a fixed number of times without looking leave it undefined.
  const Tensor& residual() const { return residual_; }

 protected:
  int64_t k_;
  mutable Tensor residual_;
};

// u_{i+1} = g + J' u_i from u_0 = g, k times (arXiv 2103.12803 and others). k = 0: HRM's one step.
class Neumann : public Equilibrium {
 public:
  using Equilibrium::Equilibrium;
  Tensor solve(const Tensor& g, const Product& product) const override;
};

// u_{i+1} = lambda (g + J' u_i) + (1 - lambda) u_i from u_0 = 0, k times (phantom gradient in its
// Neumann form, arXiv 2111.05177).
class Phantom : public Equilibrium {
 public:
  Phantom(double lambda, int64_t k) : Equilibrium(k), lambda_(lambda) {}
  Tensor solve(const Tensor& g, const Product& product) const override;

 private:
  double lambda_;
};

// u = g + J' u by Anderson's extrapolation over the last `window` steps, at most k products. Each
// row is a problem of its own, and rests once its residual is below the tolerance.
class Anderson : public Equilibrium {
 public:
  using Equilibrium::Equilibrium;
  Tensor solve(const Tensor& g, const Product& product) const override;
};

// The same by Broyden's (good) method: a quasi-Newton inverse from rank-one updates.
class Broyden : public Equilibrium {
 public:
  using Equilibrium::Equilibrium;
  Tensor solve(const Tensor& g, const Product& product) const override;
};

// The gradient of k further damped steps z <- lambda F(z, x) + (1 - lambda) z from the end of the
// segment (phantom gradient in its unrolled form). The value is the segment's.
class DampedUnrolling : public GradientStrategy {
 public:
  DampedUnrolling(double lambda, int64_t k) : lambda_(lambda), k_(k) {}
  State run(const Recurrence& recurrence, State state, const Tensor& x) const override;
  GradientCost cost(double updates) const override;

 private:
  double lambda_;
  int64_t k_;
};

}  // namespace hrm

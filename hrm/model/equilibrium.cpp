#include "hrm/model/equilibrium.h"

#include <algorithm>

#include "autograd/custom_function.h"
#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"

namespace hrm {
namespace {

constexpr int kWindow = 5;
constexpr double kTolerance = 1e-6;  // relative residual at which a row rests

// The updates of F: the last L and the last H.
size_t updates_of_map(const Recurrence& r) { return std::min<size_t>(2, r.updates.size()); }

State apply_map(const Recurrence& r, State state, const Tensor& x) {
  for (size_t i = r.updates.size() - updates_of_map(r); i < r.updates.size(); ++i)
    state = r.apply(r.updates[i], state, x);
  return state;
}

Tensors parts_of(const State& s) {
  return s.z_L.defined() ? Tensors{s.z_H, s.z_L} : Tensors{s.z_H};
}

// [batch, ...] tensors as rows [batch, n] in the accumulation type, and back.
Tensor pack(const Tensors& parts) {
  Tensors rows;
  for (const Tensor& p : parts)
    rows.push_back(cast(reshape(p.contiguous(), {p.size(0), -1}), accumulate_type(p.dtype())));
  return rows.size() == 1 ? rows[0] : concat(rows, 1);
}
Tensors unpack(const Tensor& rows, const Tensors& like) {
  Tensors parts;
  int64_t at = 0;
  for (const Tensor& p : like) {
    const int64_t n = p.numel() / p.size(0);
    parts.push_back(cast(reshape(slice(rows, 1, at, at + n).contiguous(), p.shape()), p.dtype()));
    at += n;
  }
  return parts;
}

Tensor dot(const Tensor& a, const Tensor& b) { return sum(a * b, 1, true); }  // [batch, 1]

// Residual norms against |g|; where they are above the tolerance a row goes on.
struct Convergence {
  Tensor relative, moving;
  Convergence(const Tensor& r, const Tensor& g)
      : relative(sqrt(dot(r, r)) / (sqrt(dot(g, g)) + 1e-30)),
        moving(compare(CompareOp::gt, relative, kTolerance)) {}
};

}  // namespace

State Equilibrium::run(const Recurrence& r, State state, const Tensor& x) const {
  state = r.advance(state, x, r.updates.size() - updates_of_map(r)).detach();
  state.z_H.set_requires_grad();
  if (state.z_L.defined()) state.z_L.set_requires_grad();
  const Tensors in = parts_of(state), out = parts_of(apply_map(r, state, x));
  const Tensors end = custom_function(
      "equilibrium", out, [](CustomContext&, const Tensors& z) { return z; },
      [this, in, out](const Saved&, const Tensors& grads) {
        Tensors cotangent;
        for (size_t i = 0; i < out.size(); ++i)
          cotangent.push_back(grads[i].defined() ? grads[i] : zeros_like(out[i]));
        const Product product = [&](const Tensor& u) {
          Tensors back = grad(out, in, unpack(u, out), true);
          for (size_t i = 0; i < in.size(); ++i)
            if (!back[i].defined()) back[i] = zeros_like(in[i]);
          return pack(back);
        };
        const NoGradGuard no_grad;
        return unpack(solve(pack(cotangent), product), out);
      });
  return {end[0], end.size() > 1 ? end[1] : Tensor()};
}

// The updates of F are recorded once; each product goes back through both.
GradientCost Equilibrium::cost(double updates) const {
  const double of_map = std::min(2.0, updates);
  return {of_map, of_map * (1 + static_cast<double>(k_))};
}

Tensor Neumann::solve(const Tensor& g, const Product& product) const {
  Tensor u = g;
  for (int64_t i = 0; i < k_; ++i) u = g + product(u);
  return u;
}

Tensor Phantom::solve(const Tensor& g, const Product& product) const {
  Tensor u = lambda_ * g;  // the first step, from 0
  for (int64_t i = 1; i < k_; ++i) u = lambda_ * (g + product(u)) + (1 - lambda_) * u;
  return u;
}

// f(u) = g + J'u, r = f(u) - u. The differences of the last residuals are orthogonalised row by
// row, those of f alongside: what r has of them is taken off f.
Tensor Anderson::solve(const Tensor& g, const Product& product) const {
  Tensor u = g, last_f, last_r;
  std::vector<Tensor> dr, df;
  for (int64_t i = 0; i < k_; ++i) {
    const Tensor f = g + product(u), r = f - u;
    const Convergence convergence(r, g);
    residual_ = convergence.relative;
    if (i > 0) {
      dr.push_back(r - last_r);
      df.push_back(f - last_f);
    }
    if (dr.size() > kWindow) {
      dr.erase(dr.begin());
      df.erase(df.begin());
    }
    last_f = f;
    last_r = r;
    Tensor next = f, remainder = r;
    std::vector<Tensor> q, p;  // orthonormal differences of r, and what became of those of f
    for (size_t j = dr.size(); j-- > 0;) {
      Tensor a = dr[j], b = df[j];
      for (size_t k = 0; k < q.size(); ++k) {
        const Tensor c = dot(a, q[k]);
        a = a - c * q[k];
        b = b - c * p[k];
      }
      const Tensor scale = rsqrt(dot(a, a) + 1e-30 * dot(g, g) + 1e-60);
      q.push_back(a * scale);
      p.push_back(b * scale);
      const Tensor c = dot(remainder, q.back());
      next = next - c * p.back();
      remainder = remainder - c * q.back();
    }
    u = where(convergence.moving, next, u);
  }
  return u;
}

// r(u) = g + J'u - u; H approximates the inverse of its derivative, -I at first.
Tensor Broyden::solve(const Tensor& g, const Product& product) const {
  std::vector<Tensor> a, b;  // H = -I + sum a b'
  const auto times = [&](const Tensor& v, const std::vector<Tensor>& left,
                         const std::vector<Tensor>& right) {
    Tensor result = -v;
    for (size_t j = 0; j < left.size(); ++j) result = result + dot(right[j], v) * left[j];
    return result;
  };
  Tensor u = g, r = product(u);  // g + J'g - g
  for (int64_t i = 1; i < k_; ++i) {
    const Convergence convergence(r, g);
    const Tensor step = where(convergence.moving, -times(r, a, b), zeros_like(r));
    u = u + step;
    const Tensor next = g + product(u) - u, change = next - r;
    const Tensor h_change = times(change, a, b), step_h = times(step, b, a);
    const Tensor below = dot(step_h, change);
    const Tensor safe =
        where(compare(CompareOp::gt, abs(below), 1e-30), below, affine(below, 0, 1));
    a.push_back(where(convergence.moving, (step - h_change) / safe, zeros_like(step)));
    b.push_back(step_h);
    r = next;
  }
  residual_ = Convergence(r, g).relative;
  return u;
}

State DampedUnrolling::run(const Recurrence& r, State state, const Tensor& x) const {
  const State end = r.advance(state, x, r.updates.size()).detach();
  State z = end;
  const auto mix = [&](const Tensor& next, const Tensor& old) {
    return old.defined() ? lambda_ * next + (1 - lambda_) * old : Tensor();
  };
  for (int64_t i = 0; i < k_; ++i) {
    const State next = apply_map(r, z, x);
    z = {mix(next.z_H, z.z_H), mix(next.z_L, z.z_L)};
  }
  // The value of `end`, the gradient of z.
  const auto value_of = [](const Tensor& value, const Tensor& gradient) {
    return gradient.defined() ? gradient + (value - gradient.detach()) : Tensor();
  };
  return {value_of(end.z_H, z.z_H), value_of(end.z_L, z.z_L)};
}

// Its k steps run forward beside those of the segment, which is half a product each.
GradientCost DampedUnrolling::cost(double updates) const {
  const double steps = std::min(2.0, updates) * static_cast<double>(k_);
  return {steps, 1.5 * steps};
}

}  // namespace hrm

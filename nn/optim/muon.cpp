#include "nn/optim/muon.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/ops.h"

namespace hrm {
inline namespace nn {
namespace {

NamedParameters both(NamedParameters a, const NamedParameters& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

AdamOptions options_of_others(const MuonOptions& options) {
  return {AdamKind::adamw, options.beta1, options.beta2, options.weight_decay, options.eps};
}

}  // namespace

Muon::Muon(const NamedParameters& matrices, const NamedParameters& others,
           const MuonOptions& options)
    : Optimizer(both(matrices, others), options.clip_norm),
      options_(options),
      others_(others, options_of_others(options)) {
  for (const auto& [name, p] : matrices) {
    HRM_CHECK(p->value.ndim() == 2, "[muon] ", name, " must have two dimensions, got ",
              p->value.shape());
    matrices_.push_back({name, p, zeros_like(p->value)});
  }
}

int64_t Muon::rates_size() const {
  return others_.rates_size() + std::ssize(matrices_) * kMuonRates;
}

std::vector<double> Muon::rates(double lr) const {
  std::vector<double> all = others_.rates(lr);
  for (const Matrix& matrix : matrices_) {
    const Shape& shape = matrix.parameter->value.shape();
    const auto longest = static_cast<double>(std::max(shape[0], shape[1]));
    all.push_back(1 - lr * options_.weight_decay);
    all.push_back(lr * 0.2 * std::sqrt(longest));
  }
  return all;
}

void Muon::apply(const Tensor& rates, const Tensor& gradient_scale, const Tensor& skip) {
  const int32_t* const skipped = skip.defined() ? skip.data<int32_t>() : nullptr;
  const double* const scale = gradient_scale.defined() ? gradient_scale.data<double>() : nullptr;
  const int64_t first = others_.rates_size();
  others_.apply(rates.slice(0, 0, first), gradient_scale, skip);
  for (size_t i = 0; i < matrices_.size(); ++i) {
    Matrix& matrix = matrices_[i];
    const Tensor &value = matrix.parameter->value, &copy = matrix.parameter->copy;
    const Tensor g = value.grad();
    matrix.active = g.defined();
    if (!matrix.active) continue;
    const Tensor ahead = empty_like(g);
    HRM_DISPATCH(muon_momentum, g.context(), g.dtype(), matrix.momentum.data(), ahead.data(),
                 g.data(), g.numel(), options_.momentum, scale, skipped);
    const Tensor direction = orthogonalized(ahead);
    HRM_DISPATCH(muon_update, g.context(), g.dtype(), value.data(),
                 copy.defined() ? copy.data<bfloat16>() : nullptr, direction.data(), g.numel(),
                 rates.data<double>() + first + i * kMuonRates, skipped);
  }
}

void Muon::advance() {
  others_.advance();
  for (const Matrix& matrix : matrices_)
    if (matrix.active) matrix.parameter->changed();
}

NamedTensors Muon::state_dict() const {
  NamedTensors state = others_.state_dict();
  for (const Matrix& matrix : matrices_)
    state.emplace_back("momentum." + matrix.name, matrix.momentum);
  return state;
}

void Muon::load_state_dict(const NamedTensors& state) {
  others_.load_state_dict(state);
  for (Matrix& matrix : matrices_)
    matrix.momentum.copy_from(
        saved_by_optimizer(state, "momentum." + matrix.name, matrix.momentum.shape()));
}

Tensor orthogonalized(const Tensor& g) {
  // Of x -> a x + b x^3 + c x^5, which raises small singular values fast and keeps the large ones
  // near 1.
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  constexpr int kIterations = 5;
  HRM_CHECK(g.ndim() == 2 && (g.dtype() == DType::f32 || g.dtype() == DType::f64),
            "[orthogonalized] g must be f32 or f64 [rows, cols], got ", g.dtype(), " ", g.shape());
  const bool tall = g.size(0) > g.size(1);
  Tensor x = g / affine(sqrt(sum(g * g)), 1, 1e-7);
  for (int i = 0; i < kIterations; ++i) {
    // The smaller of x x^T and x^T x; x (x^T x) = (x x^T) x.
    const Tensor other = transpose(x, 0, 1);
    const Tensor square = tall ? matmul(other, x) : matmul(x, other);
    const Tensor polynomial = affine(square, b) + affine(matmul(square, square), c);
    x = affine(x, a) + (tall ? matmul(x, polynomial) : matmul(polynomial, x));
  }
  return x;
}

}  // namespace nn
}  // namespace hrm

// Optimizers: Adam and Muon by their formulas, averages, what they refuse.
#include <cmath>
#include <limits>

#include <eigen3/Eigen/Dense>

#include "autograd/ops/ops.h"
#include "hrm/presets.h"
#include "hrm/train/learner.h"
#include "nn/optim/ema.h"
#include "nn/optim/muon.h"
#include "nn/optim/sign_sgd.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
namespace {

Eigen::MatrixXd to_eigen(const Tensor& t) {
  const std::vector<double> values = t.to_vector();
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<const RowMajor>(values.data(), t.size(0), t.size(1));
}

double largest_difference(const Tensor& a, const Tensor& b) {
  return (to_eigen(a.to(DType::f64)) - to_eigen(b.to(DType::f64))).cwiseAbs().maxCoeff();
}

// A tall and a wide matrix and a vector, with gradients; and Muon for them.
struct MuonCase {
  explicit MuonCase(const MuonOptions& options, DType dtype = DType::f64,
                    Device device = Device::cpu)
      : matrix(Parameter::make(Random(1).normal({6, 4}, 1).to(device), dtype)),
        wide(Parameter::make(Random(4).normal({4, 7}, 1).to(device), dtype)),
        vector(Parameter::make(Random(2).normal({5}, 1).to(device), dtype)),
        muon({{"matrix", &matrix}, {"wide", &wide}}, {{"vector", &vector}}, options) {}

  void set_gradients(uint64_t seed) {
    Random random(seed);
    for (Parameter* p : all())
      p->value.set_grad(random.normal(p->value.shape(), 1, p->value.dtype()).to(p->value.device()));
  }

  std::vector<Parameter*> all() { return {&matrix, &wide, &vector}; }

  Parameter matrix, wide, vector;
  Muon muon;
};

}  // namespace

TEST_CASE("EMA weights are used for evaluation and put back") {
  Parameter p = Parameter::make(ones({3}), DType::f32);
  Ema ema({{"p", &p}}, 0.5);
  p.value.fill(3);
  ema.update();
  ema.swap();
  CHECK(p.value.to_vector()[0] == 2);
  ema.swap();
  CHECK(p.value.to_vector()[0] == 3);
}

TEST_CASE("clipping rescales the joint gradient norm; AdamW follows its formula") {
  Parameter a = Parameter::make(zeros({1}, DType::f64), DType::f64), b = a;
  b = Parameter::make(zeros({1}, DType::f64), DType::f64);
  AdamOptions options;
  options.kind = AdamKind::adamw;
  options.beta1 = options.beta2 = 0;
  options.eps = 1;
  options.weight_decay = 0;
  options.clip_norm = 5;
  Adam adam({{"a", &a}, {"b", &b}}, options);
  a.value.set_grad(full({1}, 30, DType::f64));
  b.value.set_grad(full({1}, 40, DType::f64));
  adam.step(1);  // clipped to 3 and 4; step = g / (|g| + 1)
  CHECK(a.value.item() == doctest::Approx(-0.75));
  CHECK(b.value.item() == doctest::Approx(-0.8));
}

TEST_CASE("gradients and saved states of other weights are refused by the optimizers") {
  Parameter p = Parameter::make(ones({3}), DType::f32);
  Adam adam({{"p", &p}}, {});
  Ema ema({{"p", &p}}, 0.5);
  NamedTensors moments = adam.state_dict(), averages = ema.state_dict();
  const auto refused = [&](const std::string& what) {
    expect_error([&] { adam.load_state_dict(moments); },
                 "[optimizer] the checkpoint has no '" + what + ". HINT: is it a checkpoint of");
    expect_error([&] { ema.load_state_dict(averages); },
                 "[ema] the checkpoint has no 'ema.p' of shape (3). HINT: is it a checkpoint of");
  };
  moments[0].second = averages[0].second = zeros({4});
  refused("exp_avg.p' of shape (3)");
  moments = adam.state_dict();
  moments.pop_back();
  averages.pop_back();
  refused("t.p' of shape (1)");
  SparseEmbedding table(5, 4, 0, {});
  const Tensor ids = from_vector<int32_t>({1, 2}, {2});
  for (const Tensor& gradient : {zeros({3, 4}), zeros({2, 4}, DType::f64)})
    expect_error([&] { sign_sgd_step(table, gradient, ids, 1, 0); },
                 "[sign_sgd] gradient must be f32 [batch, dim] = (2, 4), got f");
}

TEST_CASE("an orthogonalized matrix keeps its singular vectors, on every device") {
  Random random(3);
  for (const Device device : devices())
    for (const Shape& shape : {Shape{8, 8}, Shape{5, 20}, Shape{20, 5}, Shape{1, 7}}) {
      CAPTURE(shape);
      for (const DType t : {DType::f64, DType::f32}) {
        const Tensor g = random.normal(shape, 3, t);
        const Eigen::MatrixXd result = to_eigen(orthogonalized(g.to(device)).to(Device::cpu));
        const Eigen::JacobiSVD<Eigen::MatrixXd> svd(to_eigen(g),
                                                    Eigen::ComputeThinU | Eigen::ComputeThinV);
        const Eigen::MatrixXd inner = svd.matrixU().transpose() * result * svd.matrixV();
        CHECK(inner.diagonal().minCoeff() > 0.68);
        CHECK(inner.diagonal().maxCoeff() < 1.21);
        const double rest =
            (result - svd.matrixU() * inner.diagonal().asDiagonal() * svd.matrixV().transpose())
                .norm();
        CHECK(rest < (t == DType::f64 ? 1e-12 : 1e-4));
      }
    }
  // Singular values down to 0.0024 of the norm, about as far as the declaration promises; without
  // any there is no direction.
  Tensor diagonal = zeros({40, 40}, DType::f64);
  for (int64_t i = 0; i < 40; ++i)
    diagonal.data<double>()[i * 41] = std::pow(10, -2.3 * static_cast<double>(i) / 39);
  const Eigen::MatrixXd result = to_eigen(orthogonalized(diagonal));
  CHECK(result.diagonal().minCoeff() > 0.68);
  CHECK(result.diagonal().maxCoeff() < 1.21);
  CHECK(to_eigen(orthogonalized(zeros({3, 3}))).norm() == 0);
}

TEST_CASE("Muon follows its formula, and AdamW has the rest") {
  MuonCase c({.momentum = 0.8, .weight_decay = 0.25});
  Parameter alone = Parameter::make(c.vector.value.detach().clone(), DType::f64);
  Adam adam({{"alone", &alone}}, {.kind = AdamKind::adamw, .weight_decay = 0.25});
  // What is expected of a matrix whose longer side has `longest` entries.
  struct Expected {
    Parameter* parameter;
    double longest;
    Tensor value, momentum;
  };
  std::vector<Expected> expected;
  for (const auto& [p, longest] : {std::pair{&c.matrix, 6.0}, std::pair{&c.wide, 7.0}})
    expected.push_back({p, longest, p->value.detach().clone(), zeros_like(p->value)});
  for (const uint64_t step : {10, 11, 12}) {
    c.set_gradients(step);
    alone.value.set_grad(c.vector.value.grad());
    for (Expected& e : expected) {
      const Tensor g = affine(e.parameter->value.grad(), 0.2);
      e.momentum = affine(e.momentum.detach(), 0.8) + g;
      const Tensor direction = orthogonalized(affine(e.momentum, 0.8) + g);
      e.value =
          affine(e.value, 1 - 0.1 * 0.25) - affine(direction, 0.1 * 0.2 * std::sqrt(e.longest));
    }
    c.muon.step(0.1);
    adam.step(0.1);
  }
  const char* const names[] = {"momentum.matrix", "momentum.wide"};
  for (size_t i = 0; i < expected.size(); ++i) {
    const Expected& e = expected[i];
    CHECK(largest_difference(e.parameter->value.detach(), e.value) < 1e-14);
    CHECK(largest_difference(*find(c.muon.state_dict(), names[i]), e.momentum) < 1e-14);
  }
  CHECK(c.vector.value.to_vector() == alone.value.to_vector());
}

TEST_CASE("Muon: a step that is skipped changes nothing, clipping is joint, on every device") {
  for (const Device device : devices()) {
    MuonCase c({.clip_norm = 2}, DType::bf16, device);
    CHECK(c.matrix.copy.dtype() == DType::bf16);
    const Tensor matrix = c.matrix.value.detach().clone(), copy = c.matrix.copy.clone();
    const Tensor vector = c.vector.value.detach().clone();
    for (Parameter* p : c.all())
      p->value.set_grad(
          full(p->value.shape(), std::numeric_limits<double>::quiet_NaN(), DType::f32, device));
    c.muon.step(0.1, ones({1}, DType::i32, device));
    const auto momentum = [&] { return *find(c.muon.state_dict(), "momentum.matrix"); };
    CHECK(c.matrix.value.to_vector() == matrix.to_vector());
    CHECK(c.matrix.copy.to_vector() == copy.to_vector());
    CHECK(c.vector.value.to_vector() == vector.to_vector());
    CHECK(momentum().to_vector() == std::vector<double>(24, 0));
    c.wide.value.set_grad({});
    c.matrix.value.set_grad(full({6, 4}, 3, DType::f32, device));
    c.vector.value.set_grad(full({5}, 4, DType::f32, device));
    c.muon.step(0.1, zeros({1}, DType::i32, device));
    const double norm = std::sqrt(24 * 9 + 5 * 16);
    CHECK(momentum().to_vector()[7] == doctest::Approx(0.05 * 3 * 2 / norm));
    CHECK(c.matrix.copy.to_vector() == c.matrix.value.detach().to(DType::bf16).to_vector());
    CHECK(c.matrix.copy.to_vector() != copy.to_vector());
  }
}

TEST_CASE("Muon: saved states, parameters without a gradient, what it refuses") {
  MuonCase c({}), other({});
  c.set_gradients(20);
  c.muon.step(0.1);
  const auto same = [&] {
    for (size_t i = 0; i < c.all().size(); ++i)
      CHECK(c.all()[i]->value.to_vector() == other.all()[i]->value.to_vector());
  };
  for (size_t i = 0; i < c.all().size(); ++i)
    other.all()[i]->value.detach().copy_from(c.all()[i]->value.detach());
  other.muon.load_state_dict(c.muon.state_dict());
  for (MuonCase* one : {&c, &other}) {
    one->set_gradients(21);
    one->muon.step(0.1);
  }
  same();
  // None has a gradient, then one of the matrices alone.
  const auto of = [&](const char* name) {
    return find(c.muon.state_dict(), name)->clone().to_vector();
  };
  const auto before = of("momentum.matrix"), average = of("momentum.wide");
  c.muon.zero_grad();
  c.muon.step(0.1);
  same();
  CHECK(of("momentum.matrix") == before);
  c.matrix.value.set_grad(c.matrix.value.detach().clone());
  c.muon.step(0.1);
  CHECK(of("momentum.matrix") != before);
  CHECK(of("momentum.wide") == average);
  CHECK(c.matrix.value.to_vector() != other.matrix.value.to_vector());
  CHECK(c.wide.value.to_vector() == other.wide.value.to_vector());
  CHECK(c.vector.value.to_vector() == other.vector.value.to_vector());
  CHECK(of("t.vector") == std::vector<double>{2});

  NamedTensors state = c.muon.state_dict();
  state.pop_back();
  expect_error([&] { c.muon.load_state_dict(state); },
               "[optimizer] the checkpoint has no 'momentum.wide' of shape (4, 7)");
  expect_error(
      [&] {
        Muon({{"bias", &c.vector}}, {}, {});
      },
      "[muon] bias must have two dimensions, got (5)");
  expect_error(
      [] {
        orthogonalized(ones({2, 2, 2}));
      },
      "[orthogonalized] g must be f32 or f64 [rows, cols], got f32 (2, 2, 2)");
  expect_error([] { orthogonalized(ones({2, 2}, DType::bf16)); }, "got bf16 (2, 2)");
}

TEST_CASE("optimizer=muon is for the matrices of the layers") {
  Config config = preset("sudoku4");
  config.set("optimizer", "muon");
  config.set("conditioning", "context");
  Random random(5);
  const Model model(config.model, &random);
  const NamedTensors state = make_optimizer(model, config.train)->state_dict();
  const auto has = [&](const std::string& name) { return find(state, name) != nullptr; };
  for (const std::string name :
       {"H_level.layers.0.self_attn.qkv_proj.weight", "L_level.layers.1.mlp.down_proj.weight",
        "context.block.mlp.gate_up_proj.weight"}) {
    CHECK_MESSAGE(has("momentum.model.inner." + name), name);
    CHECK_MESSAGE(!has("exp_avg.model.inner." + name), name);
  }
  for (const std::string name : {"lm_head.weight", "q_head.weight", "q_head.bias",
                                 "embed_tokens.embedding_weight", "context.to_prefix.weight"}) {
    CHECK_MESSAGE(has("exp_avg.model.inner." + name), name);
    CHECK_MESSAGE(!has("momentum.model.inner." + name), name);
  }
}

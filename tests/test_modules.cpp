// Modules, losses, optimizers and loaders for models that are not HRM.
#include <cmath>
#include <set>

#include "autograd/engine.h"
#include "autograd/ops/ops.h"
#include "nn/data_loader.h"
#include "nn/layers.h"
#include "nn/loss.h"
#include "nn/optim/adam.h"
#include "nn/optim/sgd.h"
#include "nn/sequential.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

using Values = std::vector<double>;

// One weight with a gradient that the test sets.
struct OneWeight : Module {
  explicit OneWeight(const Tensor& initial, DType dtype = DType::f32)
      : weight(Parameter::make(initial, dtype)) {
    add_parameter("weight", &weight);
  }
  Parameter weight;
};

}  // namespace

TEST_CASE("layers draw their weights, unless they are asked for zeros") {
  manual_seed(4);
  const Linear first(3, 2);
  manual_seed(4);
  const Linear again(3, 2), next(3, 2);
  CHECK(first.weight.value.to_vector() == again.weight.value.to_vector());
  CHECK(first.weight.value.to_vector() != next.weight.value.to_vector());
  CHECK(sum(abs(Linear(3, 2, true, {}).weight.value)).item() > 0);
  LayerOptions zeros_to_load;
  zeros_to_load.random = nullptr;
  CHECK(sum(abs(Linear(3, 2, true, zeros_to_load).weight.value)).item() == 0);
}

TEST_CASE("sequential: layers and functions, named by their number") {
  Sequential net;
  net.add<Linear>(3, 4).add(relu).add<LayerNorm>(4).add<Linear>(4, 2, false);
  std::string names;
  for (const auto& [name, p] : net.named_parameters()) names += name + " ";
  CHECK(names == "0.weight 0.bias 2.weight 2.bias 3.weight ");
  CHECK(net.size() == 4);
  const Tensor x = randn({5, 3});
  CHECK(net.forward(x).shape() == Shape({5, 2}));
  Sequential other;
  other.add<Linear>(3, 4).add(relu).add<LayerNorm>(4).add<Linear>(4, 2, false);
  other.load_state_dict(net.state_dict());
  CHECK(other.forward(x).to_vector() == net.forward(x).to_vector());
}

TEST_CASE("dropout drops while the module trains, and draws anew at each call") {
  Sequential net;
  net.add<Dropout>(0.5, 7);
  const Tensor x = ones({400});
  const Values first = net.forward(x).to_vector(), second = net.forward(x).to_vector();
  CHECK(first != second);
  for (const double v : first) CHECK((v == 0 || v == 2));
  const double kept = sum(net.forward(x)).item() / 2;
  CHECK((kept > 150 && kept < 250));
  net.eval();
  CHECK_FALSE(net.is_training());
  CHECK(net.forward(x).to_vector() == x.to_vector());
  net.train();
  CHECK(net.forward(x).to_vector() != x.to_vector());
  expect_error([] { Dropout(1.0); }, "[dropout] the probability must be in [0, 1), got 1");
}

TEST_CASE("conv2d: the layer is the operation, in f32 and bf16") {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    LayerOptions options;
    options.dtype = dtype;
    const Conv2d layer(2, 3, 3, 2, 1, true, options);
    layer.bias.value.detach().copy_from(tensor({1, 2, 3}));
    const Tensor x = randn({2, 2, 5, 5}, dtype);
    const Tensor want =
        conv2d(x.to(DType::f32), layer.weight.compute().to(DType::f32), layer.bias.value, 2, 1);
    const Tensor got = layer.forward(x);
    CHECK(got.dtype() == dtype);
    CHECK(max(abs(got.to(DType::f32) - want)).item() < (dtype == DType::f32 ? 1e-6 : 0.05));
    sum(got).backward();
    CHECK(layer.weight.value.grad().shape() == Shape({3, 2, 3, 3}));
  }
}

TEST_CASE("losses are means over all that counts") {
  CHECK(mse_loss(tensor({1, 2}), tensor({3, 2})).item() == 2);
  expect_error(
      [] {
        mse_loss(tensor({1, 2}), tensor({1}));
      },
      "[mse_loss] both must have one shape");
  const Tensor logits = tensor({{0, 0}, {0, std::log(3.0)}});
  CHECK(cross_entropy(logits, tensor({0, 1}, DType::i32)).item() ==
        doctest::Approx((std::log(2) - std::log(0.75)) / 2));
  CHECK(cross_entropy(logits, tensor({0, kIgnoreLabel}, DType::i32)).item() ==
        doctest::Approx(std::log(2)));
  CHECK(cross_entropy(logits, tensor({kIgnoreLabel, kIgnoreLabel}, DType::i32)).item() == 0);
  CHECK(binary_cross_entropy_with_logits(tensor({0, 0}), tensor({1, 0})).item() ==
        doctest::Approx(std::log(2)));
}

TEST_CASE("sgd: steps that are known by hand, on every device") {
  for (const Device device : devices())
    for (const bool nesterov : {false, true}) {
      OneWeight model(tensor({1, -2}, DType::f64).to(device), DType::f64);
      Sgd optimizer(model.named_parameters(),
                    {.momentum = 0.5, .nesterov = nesterov, .weight_decay = 0.1});
      double p = 1, m = 0;
      for (const double g : {0.4, -0.3, 1.0}) {
        model.weight.value.set_grad(tensor({g, g}, DType::f64).to(device));
        optimizer.step(0.2);
        const double d = g + 0.1 * p;
        m = 0.5 * m + d;
        p -= 0.2 * (nesterov ? d + 0.5 * m : m);
        CHECK(model.weight.value.to_vector()[0] == doctest::Approx(p).epsilon(1e-14));
      }
      CHECK(model.weight.value.to_vector()[1] < -2);
    }
}

TEST_CASE("sgd: a saved state goes on as before; no gradient, no step") {
  OneWeight a(tensor({1, 2})), b(tensor({1, 2}));
  Sgd first(a.named_parameters(), {.momentum = 0.9}),
      second(b.named_parameters(), {.momentum = 0.9});
  const auto step = [](OneWeight& model, Sgd& optimizer) {
    model.weight.value.set_grad(tensor({1, -1}));
    optimizer.step(0.1);
  };
  step(a, first);
  b.load_state_dict(a.state_dict());
  second.load_state_dict(first.state_dict());
  step(a, first);
  step(b, second);
  CHECK(a.weight.value.to_vector() == b.weight.value.to_vector());
  second.zero_grad();
  second.step(0.1);
  CHECK(a.weight.value.to_vector() == b.weight.value.to_vector());
  CHECK(Sgd(a.named_parameters()).state_dict().empty());
  expect_error([&] { Sgd(a.named_parameters(), {.nesterov = true}); }, "nesterov needs a momentum");
}

TEST_CASE("sgd: a bf16 model computes with the new weights") {
  OneWeight model(tensor({1, 2}), DType::bf16);
  Sgd optimizer(model.named_parameters());
  model.weight.value.set_grad(tensor({1, 1}));
  optimizer.step(0.5);
  CHECK(model.weight.compute().to_vector() == Values{0.5, 1.5});
}

TEST_CASE("a small net learns a curve with each optimizer") {
  const Tensor x = linspace(-1, 1, 64).view({64, 1}), y = sin(x * 3);
  const auto learn = [&](auto make, double lr) {
    manual_seed(2);
    Sequential net;
    net.add<Linear>(1, 16).add(hrm::tanh).add<Linear>(16, 1);
    auto optimizer = make(net);
    double loss = 0;
    for (int step = 0; step < 400; ++step) {
      const Tensor l = mse_loss(net.forward(x), y);
      l.backward();
      optimizer.step(lr);
      optimizer.zero_grad();
      loss = l.item();
    }
    return loss;
  };
  CHECK(learn([](Sequential& n) { return AdamW(n.named_parameters()); }, 1e-2) < 3e-2);
  CHECK(learn(
            [](Sequential& n) {
              return Sgd(n.named_parameters(), {.momentum = 0.9, .nesterov = true});
            },
            5e-2) < 2e-2);
}

TEST_CASE("data loader: every example once an epoch, in an order of the seed") {
  std::vector<int> data(10);
  for (int i = 0; i < 10; ++i) data[i] = i;
  const auto epoch = [](auto& loader) {
    std::vector<std::vector<int>> batches;
    for (const auto& batch : loader) batches.push_back(batch);
    return batches;
  };
  DataLoader loader(data, {.batch_size = 4, .seed = 3});
  CHECK(loader.batches() == 3);
  const auto first = epoch(loader), second = epoch(loader);
  CHECK(first != second);
  CHECK(first.back().size() == 2);
  std::set<int> seen;
  for (const auto& batch : first) seen.insert(batch.begin(), batch.end());
  CHECK(seen.size() == 10);
  DataLoader same(data, {.batch_size = 4, .seed = 3});
  CHECK(epoch(same) == first);
  CHECK(epoch(same) == second);
  DataLoader other(data, {.batch_size = 4, .seed = 4});
  CHECK(epoch(other) != first);
  DataLoader full(data, {.batch_size = 4, .shuffle = false, .drop_last = true});
  CHECK(epoch(full) == std::vector<std::vector<int>>{{0, 1, 2, 3}, {4, 5, 6, 7}});
  DataLoader none(std::vector<int>(), {.batch_size = 4});
  CHECK(epoch(none).empty());
  expect_error([&] { DataLoader(data, {.batch_size = 0}); }, "batch_size must be 1 or more, got 0");
}

TEST_CASE("data loader: resumes in the middle of an epoch") {
  const std::vector<int> data = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  DataLoader loader(data, {.batch_size = 2, .seed = 5});
  for (int i = 0; i < 8; ++i) loader.next();  // an epoch, its end, and two batches
  const BatchOrder::State state = loader.state();
  CHECK(state.epoch == 1);
  CHECK(state.batch == 2);
  DataLoader resumed(data, {.batch_size = 2, .seed = 5});
  resumed.restore(state);
  for (int i = 0; i < 12; ++i) CHECK(resumed.next() == loader.next());
  expect_error([&] { resumed.restore({0, 6}); }, "there is no batch 6 of epoch 0");
}

TEST_CASE("data loader: tensors are cut into rows") {
  const Tensor x = arange(12, DType::f32).view({4, 3}), y = arange(4);
  DataLoader loader(TensorDataset(x, y), {.batch_size = 3});
  const auto batch = *loader.next();
  CHECK(batch[0].shape() == Shape({3, 3}));
  for (int i = 0; i < 3; ++i)
    CHECK(batch[0][i].to_vector() == x[static_cast<int64_t>(batch[1][i].item())].to_vector());
  CHECK((*loader.next())[1].shape() == Shape({1}));
  CHECK_FALSE(loader.next().has_value());
  expect_error([&] { TensorDataset(x, arange(5)); }, "must count the same examples, got (4, 3)");
}

TEST_CASE("modules have a namespace of their own, and need none") {
  CHECK(std::is_same_v<hrm::Linear, hrm::nn::Linear>);
  CHECK(std::is_same_v<hrm::AdamW, hrm::nn::AdamW>);
  CHECK(!std::is_same_v<hrm::nn::Linear, hrm::nn::Sequential>);
}

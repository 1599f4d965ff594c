#include "docs/course/grade.h"

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "docs/course/8_training_loop/exercise.h"
#include "nn/layers.h"
#include "nn/loss.h"
#include "nn/optim/adam.h"
#include "nn/optim/sgd.h"

namespace hrm::course {
namespace {

using Loader = DataLoader<TensorDataset>;

// Points of a square, in two classes: whether both coordinates have the same sign.
TensorDataset points(int64_t count, uint64_t seed) {
  Random random(seed);
  const Tensor x = random.uniform({count, 2}, -1, 1);
  const Tensor labels = empty({count}, DType::i32);
  for (int64_t i = 0; i < count; ++i) {
    const float* point = x.data<float>() + 2 * i;
    labels.data<int32_t>()[i] = point[0] * point[1] > 0;
  }
  return TensorDataset(x, labels);
}

void small_net(Sequential& net) {
  manual_seed(1);
  net.add<Linear>(2, 24).add(tanh).add<Linear>(24, 2);
}

// Four points that a single layer of known weights can be trained on by hand.
TensorDataset four_points() {
  return TensorDataset(tensor({{1, 0}, {0, 1}, {1, 1}, {-1, 1}}), tensor({0, 1, 1, 0}, DType::i32));
}

// Weights [2, 2] of that layer after some steps of gradient descent, from zero. The gradient of the
// mean cross entropy is (softmax(outputs) - one-hot label)' inputs / rows.
Tensor weights_by_hand(const TensorDataset& data, int64_t steps, double lr) {
  const std::vector<Tensor> all = data.batch({0, 1, 2, 3});
  const Tensor target = one_hot(all[1], 2).to(DType::f32);
  Tensor w = zeros({2, 2});
  for (int64_t i = 0; i < steps; ++i) {
    const Tensor surplus = softmax(matmul(all[0], w.T())) - target;
    w = w - lr * (matmul(surplus.T(), all[0]) / 4.0);
  }
  return w;
}

// A layer with weights and biases, of which the biases are held at zero by having no part in it.
struct OneLayer {
  OneLayer() {
    net.add<Linear>(2, 2);
    weight().fill(0);
    bias().fill(0);
  }
  Tensor weight() { return net.named_parameters()[0].second->value.detach(); }
  Tensor bias() { return net.named_parameters()[1].second->value.detach(); }
  // Only the weight, so that the optimizer leaves the bias at zero.
  NamedParameters trained() { return {net.named_parameters()[0]}; }

  Sequential net;
};

Loader one_batch() { return Loader(four_points(), {.batch_size = 4, .shuffle = false}); }

// Counts what a loop does with the optimizer.
class CountingSgd : public Sgd {
 public:
  using Sgd::Sgd;
  void apply(const Tensor& rates, const Tensor& scale, const Tensor& skip) override {
    ++steps;
    Sgd::apply(rates, scale, skip);
  }
  int64_t steps = 0;
};

double mean_of(const std::vector<double>& values, size_t begin, size_t end) {
  double sum = 0;
  for (size_t i = begin; i < end; ++i) sum += values[i];
  return sum / static_cast<double>(end - begin);
}

}  // namespace

TEST_CASE("train: one loss for each step") {
  Sequential net;
  small_net(net);
  CountingSgd optimizer(net.named_parameters());
  Loader data(points(20, 1), {.batch_size = 5});
  CHECK(train(net, optimizer, data, 3, 0.1).size() == 3);
  CHECK(optimizer.steps == 3);
}

TEST_CASE("train: it goes on with the next epoch when the data are through") {
  Sequential net;
  small_net(net);
  CountingSgd optimizer(net.named_parameters());
  Loader data(points(20, 1), {.batch_size = 5});
  CHECK(train(net, optimizer, data, 10, 0.1).size() == 10);  // two and a half epochs
  CHECK(optimizer.steps == 10);
  CHECK(data.state().epoch == 2);
  CHECK(data.state().batch == 2);
}

TEST_CASE("train: the first loss is that of the weights at the beginning") {
  OneLayer layer;
  Sgd optimizer(layer.trained());
  Loader data = one_batch();
  const std::vector<double> losses = train(layer.net, optimizer, data, 1, 0.5);
  REQUIRE(losses.size() == 1);
  CHECK(losses[0] == doctest::Approx(std::log(2.0)));  // two classes, both outputs are 0
}

TEST_CASE("train: one step is what gradient descent by hand gives") {
  OneLayer layer;
  Sgd optimizer(layer.trained());
  Loader data = one_batch();
  train(layer.net, optimizer, data, 1, 0.5);
  CHECK(difference(layer.weight(), weights_by_hand(four_points(), 1, 0.5), 1e-5) == "");
}

TEST_CASE("train: so are five steps, each with a gradient of its own (zero_grad)") {
  OneLayer layer;
  Sgd optimizer(layer.trained());
  Loader data = one_batch();
  train(layer.net, optimizer, data, 5, 0.5);
  CHECK(difference(layer.weight(), weights_by_hand(four_points(), 5, 0.5), 1e-5) == "");
}

TEST_CASE("train: a gradient from before the first step has no part in it") {
  OneLayer layer;
  layer.net.named_parameters()[0].second->value.set_grad(full({2, 2}, 100));
  Sgd optimizer(layer.trained());
  Loader data = one_batch();
  train(layer.net, optimizer, data, 1, 0.5);
  CHECK(difference(layer.weight(), weights_by_hand(four_points(), 1, 0.5), 1e-5) == "");
}

TEST_CASE("train: no gradient is left over at the end") {
  Sequential net;
  small_net(net);
  Sgd optimizer(net.named_parameters());
  Loader data(points(20, 1), {.batch_size = 5});
  train(net, optimizer, data, 3, 0.1);
  for (const auto& [name, parameter] : net.named_parameters())
    CHECK(!parameter->value.grad().defined());
}

TEST_CASE("train: the loss falls, and points that were never seen are told apart") {
  Sequential net;
  small_net(net);
  AdamW optimizer(net.named_parameters());
  Loader data(points(400, 1), {.batch_size = 40});
  const std::vector<double> losses = train(net, optimizer, data, 300, 0.03);
  REQUIRE(losses.size() == 300);
  CHECK(mean_of(losses, 0, 10) > 0.5);
  CHECK(mean_of(losses, 290, 300) < 0.15);
  CHECK(accuracy(net, points(400, 2)) > 0.9);
}

TEST_CASE("accuracy: the share of the right answers") {
  OneLayer layer;
  layer.weight().copy_from(tensor({{1, 0}, {0, 1}}));  // the class of the larger coordinate
  // (1, 0) -> 0, (0, 1) -> 1, (1, 1) -> 0 (the first of two equals), (-1, 1) -> 1
  CHECK(accuracy(layer.net, four_points()) == doctest::Approx(0.5));
}

TEST_CASE("accuracy: dropout is off meanwhile") {
  // In training nothing is left of an input, so that class 0 would be the answer everywhere.
  Sequential net;
  net.add<Dropout>(0.999, uint64_t{1}).add([](const Tensor& x) { return x; });
  const TensorDataset data(tensor({{0, 1}, {0, 2}, {0, 3}}), tensor({1, 1, 1}, DType::i32));
  CHECK(accuracy(net, data) == 1);
}

TEST_CASE("accuracy: the network is in training again afterwards") {
  Sequential net;
  small_net(net);
  accuracy(net, points(10, 1));
  CHECK(net.is_training());
}

TEST_CASE("accuracy: autograd records nothing meanwhile") {
  Sequential net;
  bool recorded = false;
  net.add<Linear>(2, 2).add([&](const Tensor& x) {
    recorded = recorded || grad_enabled();
    return x;
  });
  accuracy(net, points(10, 1));
  CHECK(!recorded);
  CHECK(grad_enabled());
}

}  // namespace hrm::course

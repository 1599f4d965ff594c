// A small convolutional network learns to read digits, on data that it draws by itself: the digits
// of a pocket calculator, bent, moved and covered with noise. A few seconds.
//
//     build/cpu/examples/mnist_like [STEPS]
#include <cstdio>
#include <cstdlib>
#include <span>

#include <hrm/hrm.h>

using namespace hrm;

constexpr int64_t kSide = 16;

// The seven strokes of a digit: from (x, y) to (x, y) in a box of 1 x 2, and which digits have it.
struct Stroke {
  double x0, y0, x1, y1;
  bool in_digit[10];
};
constexpr Stroke kStrokes[] = {
    {0, 0, 1, 0, {1, 0, 1, 1, 0, 1, 1, 1, 1, 1}}, {0, 0, 0, 1, {1, 0, 0, 0, 1, 1, 1, 0, 1, 1}},
    {1, 0, 1, 1, {1, 1, 1, 1, 1, 0, 0, 1, 1, 1}}, {0, 1, 1, 1, {0, 0, 1, 1, 1, 1, 1, 0, 1, 1}},
    {0, 1, 0, 2, {1, 0, 1, 0, 0, 0, 1, 0, 1, 0}}, {1, 1, 1, 2, {1, 1, 0, 1, 1, 1, 1, 1, 1, 1}},
    {0, 2, 1, 2, {1, 0, 1, 1, 0, 1, 1, 0, 1, 1}}};

// One digit, in numbers from 0 (paper) to 1 (ink), plus noise.
void draw(std::span<float> image, int digit, Random& random) {
  const auto between = [&](double low, double high) {
    return low + (high - low) * random.uniform();
  };
  const double left = between(3, 7), top = between(1, 4), width = between(4, 6);
  const double height = between(4.5, 5.5), slant = between(-0.8, 0.8);
  for (float& pixel : image) pixel = static_cast<float>(between(0, 0.5));
  for (const Stroke& s : kStrokes) {
    if (!s.in_digit[digit]) continue;
    for (int i = 0; i <= 40; ++i) {
      const double t = i / 40.0, y = s.y0 + (s.y1 - s.y0) * t;
      const double x = left + width * (s.x0 + (s.x1 - s.x0) * t) - slant * y;
      const auto row = static_cast<int64_t>(top + height * y), col = static_cast<int64_t>(x);
      if (row >= 0 && row < kSide && col >= 0 && col < kSide) image[row * kSide + col] = 1;
    }
  }
}

TensorDataset digits(int64_t count, uint64_t seed) {
  Random random(seed);
  const Tensor images = empty({count, 1, kSide, kSide}), labels = empty({count}, DType::i32);
  for (int64_t i = 0; i < count; ++i) {
    const auto digit = static_cast<int>(random.below(10));
    labels.data<int32_t>()[i] = digit;
    draw({images.data<float>() + i * kSide * kSide, kSide * kSide}, digit, random);
  }
  return TensorDataset(images, labels);
}

struct Net : Module {
  Net() {
    layers.add<Conv2d>(1, 8, 3, 1, 1).add(relu);  // [batch, 8, 16, 16]
    layers.add([](const Tensor& x) { return max_pool2d(x, 2); });
    layers.add<Conv2d>(8, 16, 3, 1, 1).add(relu);  // [batch, 16, 8, 8]
    layers.add([](const Tensor& x) { return max_pool2d(x, 2).flatten(1); });
    layers.add<Dropout>(0.2).add<Linear>(16 * 4 * 4, 10);
    add_module("layers", &layers);
  }
  Tensor forward(const Tensor& images) const { return layers.forward(images); }
  Sequential layers;
};

// The share of the images that are read rightly.
double accuracy(Net& net, const TensorDataset& data) {
  const NoGradGuard no_grad;
  net.eval();
  double right = 0;
  DataLoader loader(data, {.batch_size = 100, .shuffle = false});
  for (const auto& batch : loader)
    right += (net.forward(batch[0]).argmax(1) == batch[1]).sum().item();
  net.train();
  return right / static_cast<double>(data.size());
}

int main(int count, char** arguments) {
  const int steps = count > 1 ? std::atoi(arguments[1]) : 600;
  if (steps < 1) {
    std::fprintf(stderr, "mnist_like: the number of steps must be 1 or more\n");
    return 2;
  }
  manual_seed(1);
  Net net;
  const TensorDataset test = digits(1000, 2);
  DataLoader train(digits(5000, 1), {.batch_size = 50});
  AdamW optimizer(net.named_parameters());
  std::printf("%lld weights\n", static_cast<long long>(net.parameter_count()));
  for (int step = 1; step <= steps;) {
    for (const auto& batch : train) {
      const Tensor loss = cross_entropy(net.forward(batch[0]), batch[1]);
      loss.backward();
      optimizer.step(2e-3);
      optimizer.zero_grad();
      if (step % 100 == 0)
        std::printf("step %d  loss %.3f  %.1f %% of 1,000 others right\n", step, loss.item(),
                    100 * accuracy(net, test));
      if (++step > steps) break;
    }
  }
  return steps < 600 || accuracy(net, test) > 0.95 ? 0 : 1;
}

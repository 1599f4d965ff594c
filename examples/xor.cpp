// A two-layer network learns XOR: tensors, a loss, backward, an optimizer. Runs in a blink.
#include <cstdio>

#include <hrm/hrm.h>

using namespace hrm;

struct Net : Module {
  Net() {
    add_module("hidden", &hidden);
    add_module("out", &out);
  }
  Tensor forward(const Tensor& x) const { return out.forward(tanh(hidden.forward(x))); }
  Linear hidden{2, 8}, out{8, 1};
};

int main() {
  manual_seed(1);
  Net net;
  AdamW optimizer(net.named_parameters());
  const Tensor x = tensor({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  const Tensor y = tensor({{0}, {1}, {1}, {0}});
  for (int step = 1; step <= 400; ++step) {
    const Tensor loss = binary_cross_entropy_with_logits(net.forward(x), y);
    loss.backward();
    optimizer.step(0.03);
    optimizer.zero_grad();
    if (step % 100 == 0) std::printf("step %d  loss %.4f\n", step, loss.item());
  }
  const auto p = sigmoid(net.forward(x)).to_vector();
  std::printf("0^0 %.3f   0^1 %.3f   1^0 %.3f   1^1 %.3f\n", p[0], p[1], p[2], p[3]);
  return p[0] < 0.5 && p[1] > 0.5 && p[2] > 0.5 && p[3] < 0.5 ? 0 : 1;
}

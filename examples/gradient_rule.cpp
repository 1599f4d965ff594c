// A gradient rule of one's own in one file: what it is, that it is right, and how far it is from
// the full gradient. docs/gradient_tricks.md walks through it.
#include <cmath>
#include <cstdio>

#include <hrm/hrm.h>
#include <hrm/lab/bias_meter.h>

using namespace hrm;
using namespace hrm::lab;

// Between HRM's one step and Neumann's series: u = (1 - share) g + share (g + J'g + ... + J'^k g).
class Mixed : public Equilibrium {
 public:
  Mixed(double share, int64_t k) : Equilibrium(k), share_(share) {}
  Tensor solve(const Tensor& g, const Product& product) const override {
    Tensor term = g, sum = g;
    for (int64_t i = 0; i < k_; ++i) {
      term = product(term);
      sum = sum + share_ * term;
    }
    return sum;
  }

 private:
  double share_;
};

int main() {
  ModelConfig config;
  config.seq_len = 16;
  config.vocab_size = 6;
  config.hidden_size = config.puzzle_emb_ndim = 32;
  config.num_heads = 2;
  config.H_layers = config.L_layers = 1;
  config.dtype = DType::f64;
  Random random(3), data(1);
  const Model model(config, &random);
  Carry carry = initial_carry(model, 4);
  const Tensor puzzles = data.randint({4, 16}, 1, 5), answers = data.randint({4, 16}, 2, 5);
  begin_segment(model, carry, Batch{puzzles, answers, zeros({4}, DType::i32), 4},
                Refill::reference);

  BiasMeter meter(model, carry);
  bool right = true;
  const auto same = [&](const RuleBias& a, const RuleBias& b) {
    for (size_t i = 0; i < a.groups.size(); ++i)
      right = right && std::abs(a.groups[i].cosine - b.groups[i].cosine) < 1e-12 &&
              std::abs(a.groups[i].ratio - b.groups[i].ratio) < 1e-12;
  };
  // Its ends are rules that exist.
  same(meter.measure("nothing", Mixed(0, 2)), meter.measure("one_step"));
  same(meter.measure("everything", Mixed(1, 2)), meter.measure("neumann:2"));

  std::printf("rule        cosine to full BPTT   norm ratio\n");
  for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    const Alignment all = meter.measure("mixed", Mixed(share, 2)).groups[0];
    std::printf("mixed:%.2f  %8.4f              %.4f\n", share, all.cosine, all.ratio);
  }
  std::printf("its ends are %sone_step and neumann:2\n", right ? "" : "NOT ");
  return right ? 0 : 1;
}

// HRM's one-step gradient against backpropagation through the whole recurrence, on a tiny model:
// how far the cheap direction is from the true one, by the number of applications that record.
#include <cmath>
#include <cstdio>

#include <hrm/hrm.h>
#include <hrm/model/segment.h>

using namespace hrm;

// All gradients of one segment under a rule, as one vector.
std::vector<double> gradient(ModelConfig config, const std::string& rule, const Batch& batch) {
  config.gradient = rule;
  Random random(3);
  const Model model(config, &random);
  const Tensor rows = model.puzzle_emb->rows(batch.puzzle_ids, true);
  const Tensor x = model.input_embeddings(batch.inputs, rows);
  const State end = model.segment(model.initial_state(batch.rows), x);
  backward(loss_terms(config, model.heads(end.z_H), batch.labels, {}).lm);
  std::vector<double> all;
  for (const auto& [name, p] : model.named_parameters()) {
    if (!p->value.grad().defined()) continue;
    for (const double g : p->value.grad().to_vector()) all.push_back(g);
  }
  return all;
}

int main() {
  ModelConfig config;
  config.seq_len = 16;
  config.vocab_size = 6;
  config.hidden_size = config.puzzle_emb_ndim = 32;
  config.num_heads = 2;
  config.H_layers = config.L_layers = 1;
  config.dtype = DType::f64;
  Random random(1);
  const Batch batch{random.randint({4, 16}, 1, 5), random.randint({4, 16}, 2, 5),
                    zeros({4}, DType::i32), 4};
  const std::vector<double> full = gradient(config, "full_bptt", batch);
  std::printf("rule        cosine to full BPTT   norm ratio\n");
  double last = 0;
  for (const char* rule :
       {"last_k:1", "one_step", "last_cycle", "last_k:4", "last_k:5", "full_bptt"}) {
    std::vector<double> g = gradient(config, rule, batch);
    // Weights that only earlier applications touch have no gradient under last_k:1.
    if (g.size() != full.size()) {
      std::printf("%-10s  (reaches only the H network)\n", rule);
      continue;
    }
    double dot = 0, a = 0, b = 0;
    for (size_t i = 0; i < g.size(); ++i) {
      dot += g[i] * full[i];
      a += g[i] * g[i];
      b += full[i] * full[i];
    }
    last = dot / std::sqrt(a * b);
    std::printf("%-10s  %8.4f              %.4f\n", rule, last, std::sqrt(a / b));
  }
  return std::abs(last - 1) < 1e-12 ? 0 : 1;
}

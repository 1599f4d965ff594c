// The gradients of the last k applications of the networks, under every rule that has them.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "autograd/engine.h"
#include "autograd/ops/ops.h"
#include "hrm/train/checkpoint.h"
#include "tests/parity/checks.h"

namespace hrm::parity {
namespace {

// The l2 norm of got - want as a share of that of want.
double relative_error(const Tensor& got, const Tensor& want) {
  const Values g = got.to_vector(), w = want.to_vector();
  double error = 0, norm = 0;
  for (size_t i = 0; i < g.size(); ++i) {
    error += (g[i] - w[i]) * (g[i] - w[i]);
    norm += w[i] * w[i];
  }
  return std::sqrt(error / std::max(norm, 1e-300));
}

// The gradients of a segment by the names of the fixture. What comes before them is compared.
TensorMap gradients(Ledger& ledger, const Path& folder, const ModelConfig& c,
                    const TensorMap& problem) {
  Model model(c, nullptr, device);
  model.load_state_dict(load_named(folder / "weights.safetensors"), kOfficialPrefix);
  const Batch batch = batch_of(problem);
  const State start{problem.at("carry_in.z_H"), problem.at("carry_in.z_L")};
  const Tensor rows = model.puzzle_emb->rows(batch.puzzle_ids, true);
  const Tensor x = model.input_embeddings(batch.inputs, rows);
  const State end = model.segment(start, x);
  const Outputs out = model.heads(end.z_H);
  const LossTerms terms = loss_terms(c, out, batch.labels, {});
  const Tensor loss = terms.lm * (1.0 / static_cast<double>(batch.rows));
  ledger.close("out.z_H", end.z_H, problem.at("out.z_H"), 1e-10);
  ledger.close("out.z_L", end.z_L, problem.at("out.z_L"), 1e-10);
  ledger.close("loss", loss, problem.at("loss"), 1e-10);
  backward(loss);
  TensorMap found;
  for (const auto& [name, p] : model.named_parameters(kOfficialPrefix))
    if (p->value.grad().defined()) found[name] = p->value.grad();
  if (rows.grad().defined()) found["puzzle.local"] = rows.grad();
  return found;
}

// Rules with the number of applications that they reach, of `total`.
std::vector<std::pair<std::string, int64_t>> rules_of(int64_t total) {
  std::vector<std::pair<std::string, int64_t>> rules;
  for (int64_t k = 1; k <= total; ++k) rules.emplace_back("last_k:" + std::to_string(k), k);
  rules.emplace_back("one_step", 2);
  rules.emplace_back("full_bptt", total);
  rules.emplace_back("checkpointed", total);
  return rules;
}

}  // namespace

void check_gradients(Ledger& ledger, const Path& folder, const Json& config) {
  ModelConfig c = model_config(config.at("model"), "hrm", config.at("loss_type"));
  const TensorMap problem = load(folder / "problem.safetensors");
  for (const auto& [rule, k] : rules_of(config.at("number_of_applications"))) {
    c.gradient = rule;
    const TensorMap found = gradients(ledger, folder, c, problem);
    char file[48];
    std::snprintf(file, sizeof file, "grad_last%02d.safetensors", static_cast<int>(k));
    for (const auto& [name, want] : load(folder / file)) {
      const std::string key = name.starts_with("grad.") ? name.substr(5) : name;
      if (!found.contains(key)) {
        ledger.ratio(rule + " " + name + " (no gradient)", INFINITY);
        continue;
      }
      ledger.close(rule + " absolute", found.at(key), want, 1e-10);
      ledger.ratio(rule + " relative l2", relative_error(found.at(key), want) / 1e-9);
    }
  }
}

}  // namespace hrm::parity

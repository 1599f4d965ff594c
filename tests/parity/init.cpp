// What is settled before the first step: initial values, sizes, schedules, refused configurations.
#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "hrm/presets.h"
#include "nn/optim/schedule.h"
#include "tests/parity/checks.h"

namespace hrm::parity {
namespace {

void check_truncated_normal(Ledger& ledger, const Json& entry, double kurtosis) {
  Random random(20);
  for (const Json& sample : entry) {
    const double std = sample.at("std"), bound = sample.at("bound");
    const int64_t n = 1 << 20;
    Values x = random.truncated_normal({n}, std, DType::f32).to_vector();
    double mean = 0, square = 0, largest = 0;
    for (const double v : x) {
      mean += v;
      square += v * v;
      largest = std::max(largest, std::abs(v));
    }
    mean /= static_cast<double>(n);
    square /= static_cast<double>(n);
    const double root_n = std::sqrt(static_cast<double>(n));
    ledger.scalar("truncated normal mean", mean, 0, 5 * std / root_n + 1e-300);
    ledger.ratio("truncated normal bound", largest == 0 ? 0 : largest / (bound * (1 + 1e-6)));
    if (std == 0) continue;
    ledger.scalar("truncated normal std", std::sqrt(square - mean * mean) / std, 1,
                  5 * std::sqrt((kurtosis - 1) / 4) / root_n);
    std::sort(x.begin(), x.end());
    const Json &p = sample.at("quantiles_p"), &want = sample.at("quantiles_exact");
    for (size_t i = 0; i < p.size(); ++i) {
      const double at = p[i];
      const double q = x[static_cast<size_t>(at * static_cast<double>(n))];
      // Standard error of a quantile: sqrt(p (1 - p) / n) / density.
      const double comp = sample.at("pre_truncation_std");
      const double z = want[i].get<double>() / comp;
      const double density = std::exp(-z * z / 2) / (std::sqrt(2 * M_PI) * comp) / 0.9545;
      ledger.scalar("truncated normal quantiles", q, want[i],
                    5 * std::sqrt(at * (1 - at)) / root_n / density);
    }
  }
}

void check_swiglu_sizes(Ledger& ledger, const Json& table) {
  for (const Json& row : table)
    ledger.scalar("swiglu size",
                  static_cast<double>(swiglu_size(row.at("hidden"), row.at("expansion"))),
                  row.at("inter"), 1e-9);
}

void check_schedules(Ledger& ledger, const Json& tables) {
  for (const Json& table : tables) {
    const Schedule schedule{table.at("lr_warmup_steps"), table.at("total_steps"),
                            table.at("lr_min_ratio")};
    const double base = table.at("base_lr");
    for (const Json& value : table.at("values"))
      ledger.scalar("lr schedule", schedule(base, value[0]), value[1], base * 1e-14);
  }
}

// The number and the shapes of all parameters of the published models.
void check_parameter_counts(Ledger& ledger, const Json& models) {
  for (const auto& [name, entry] : models.items()) {
    const std::string family = name.starts_with("trm")        ? "trm"
                               : name.starts_with("baseline") ? "baseline"
                                                              : "hrm";
    const Model model(model_config(entry.at("config"), family, "stablemax_cross_entropy"), nullptr,
                      device);
    ledger.scalar("parameters of " + name, static_cast<double>(model.parameter_count()),
                  entry.at("parameters"), 1e-9);
    double elements = 0;
    std::map<std::string, Shape> shapes;
    for (const auto& [key, tensor] : model.state_dict(kOfficialPrefix)) {
      elements += static_cast<double>(tensor.numel());
      shapes[key] = tensor.shape();
    }
    if (entry.contains("state_dict_elements"))
      ledger.scalar("state dict of " + name, elements, entry.at("state_dict_elements"), 1e-9);
    if (!entry.contains("trainable_tensors")) continue;
    for (const auto& [key, dims] : entry["trainable_tensors"].items()) {
      const auto d = dims.get<std::vector<int64_t>>();
      ledger.ratio("tensor shapes of " + name,
                   shapes.contains(key) && shapes.at(key) == Shape(d) ? 0 : INFINITY);
    }
  }
}

// Initial values: q_head weight 0 and bias -5, puzzle table 0, the rest as the rules say.
void check_initial_values(Ledger& ledger) {
  const ModelConfig c = preset("sudoku4").model;
  Random random(3);
  const Model model(c, &random);
  const auto all_equal = [&](const Tensor& t, double value) {
    double worst = 0;
    for (const double v : t.to_vector()) worst = std::max(worst, std::abs(v - value));
    return worst == 0 ? 0 : INFINITY;
  };
  ledger.ratio("initial q_head", all_equal(model.q_head.weight.value, 0));
  ledger.ratio("initial q_head", all_equal(model.q_head.bias.value, -5));
  ledger.ratio("initial puzzle table", all_equal(model.puzzle_emb->weights, 0));
  for (const auto& [name, p] : model.named_parameters()) {
    if (name.starts_with("q_head")) continue;
    const bool table = name.starts_with("embed");
    const double fan = static_cast<double>(table ? c.hidden_size : p->value.size(1));
    double square = 0;
    for (const double v : p->value.to_vector()) square += v * v;
    const double n = static_cast<double>(p->value.numel());
    ledger.scalar("initial std of weights", std::sqrt(square / n) * std::sqrt(fan), 1,
                  6 * std::sqrt(1.37 / 4 / n));
  }
}

// What the official code rejects because it makes no sense, we reject with one line.
void check_rejections(Ledger& ledger, const Json& configurations) {
  for (const auto& [what, message] : configurations.items()) {
    ModelConfig bad = preset("trm-5m").model;
    bad.mlp_t = false;
    bad.pos_encodings = PosEncoding::rope;
    if (what.find("puzzle_emb_ndim=0 and default puzzle_emb_len") != std::string::npos) {
      bad.puzzle_emb_ndim = 0;
      bad.puzzle_emb_len = 16;
    } else if (what.find("puzzle_emb_ndim=2*hidden") != std::string::npos) {
      bad.puzzle_emb_ndim = 2 * bad.hidden_size;
      bad.puzzle_emb_len = 1;
    } else if (what.find("odd head_dim") != std::string::npos) {
      bad.hidden_size = bad.puzzle_emb_ndim = 44;
      bad.num_heads = 4;
      bad.puzzle_emb_len = 0;
    } else {
      continue;  // limits of the official program that this one does not have
    }
    bool rejected = false;
    try {
      bad.validate();
    } catch (const Error&) {
      rejected = true;
    }
    ledger.ratio("rejects: " + what, rejected ? 0 : INFINITY);
  }
}

}  // namespace

void check_init(Ledger& ledger, const Path&, const Json& config) {
  const Json& normal = config.at("trunc_normal");
  check_truncated_normal(ledger, normal.at("samples"), normal.at("exact_kurtosis"));
  check_swiglu_sizes(ledger, config.at("swiglu_inter").at("table"));
  check_schedules(ledger, config.at("lr_schedule").at("tables"));
  check_parameter_counts(ledger, config.at("parameter_counts").at("models"));
  check_initial_values(ledger);
  check_rejections(ledger, config.at("configurations_the_official_code_rejects"));
}

}  // namespace hrm::parity

// Segments of evaluation, one after the other on one carry.
#include <cstdio>

#include <nlohmann/json.hpp>

#include "autograd/grad_mode.h"
#include "tests/parity/checks.h"

namespace hrm::parity {
namespace {

// The recorded tensors of one segment, whose names begin with its number.
struct RecordedSegment {
  const TensorMap& tensors;
  std::string prefix;

  bool has(const std::string& name) const { return tensors.contains(prefix + name); }
  const Tensor& at(const std::string& name) const { return tensors.at(prefix + name); }
};

void check_outputs(Ledger& ledger, const RecordedSegment& want, const SegmentResult& r,
                   const Json& tolerance) {
  ledger.close("out.logits", r.outputs.logits, want.at("out.logits"), tolerance.at("out.logits"));
  ledger.close("out.q_*", r.outputs.q.halt, want.at("out.q_halt_logits"), tolerance.at("out.q_*"));
  ledger.close("out.q_*", r.outputs.q.continue_, want.at("out.q_continue_logits"),
               tolerance.at("out.q_*"));
  ledger.exact("out.preds", r.loss.predictions, want.at("out.preds"));
}

void check_carry(Ledger& ledger, const RecordedSegment& want, const Carry& carry,
                 const Json& tolerance) {
  ledger.exact("carry.steps", carry.steps, want.at("carry.steps"));
  ledger.exact("carry.halted", carry.halted, want.at("carry.halted"));
  if (want.has("carry.z_H"))
    ledger.close("carry.z", carry.state.z_H, want.at("carry.z_H"), tolerance.at("carry.z"));
  if (want.has("carry.z_L"))
    ledger.close("carry.z", carry.state.z_L, want.at("carry.z_L"), tolerance.at("carry.z"));
}

void check_losses(Ledger& ledger, const RecordedSegment& want, const SegmentResult& r,
                  const Json& tolerance) {
  const double loss_tol = tolerance.at("loss.total");
  ledger.close("loss.total", r.loss.total, want.at("loss.total"), loss_tol);
  ledger.close("metric.lm_loss", r.loss.lm, want.at("metric.lm_loss"), loss_tol);
  ledger.close("metric.q_halt_loss", r.loss.q_halt, want.at("metric.q_halt_loss"), loss_tol);
  const Values m = r.metrics.to_vector();
  const char* names[5] = {"count", "accuracy", "exact_accuracy", "q_halt_accuracy", "steps"};
  for (int k = 0; k < 5; ++k) {
    const std::string name = std::string("metric.") + names[k];
    ledger.scalar(name, m[k], want.at(name).item(), k == 1 ? 1e-6 : 1e-12);
  }
}

}  // namespace

void check_evaluation(Ledger& ledger, const Path& folder, const Json& config) {
  const NoGradGuard no_grad;
  const ModelConfig c =
      model_config(config.at("model"), config.value("family", "hrm"), config.at("loss_type"));
  check_rope_tables(ledger, folder, c);
  Model model(c, nullptr, device);
  model.load_state_dict(load_named(folder / "weights_init.safetensors"), kOfficialPrefix);
  const TensorMap recorded = load(folder / "segments.safetensors");
  const Json& tolerance = config.at("tolerances_advised");
  Carry carry = initial_carry(model, config.at("model").at("batch_size"));
  const int64_t segments = config.at("segments");
  for (int64_t s = 0; s < segments; ++s) {
    char prefix[16];
    std::snprintf(prefix, sizeof prefix, "seg%02d.", static_cast<int>(s));
    begin_segment(model, carry, batch_of(recorded), Refill::reference);
    const SegmentResult r = eval_segment(model, carry);
    const RecordedSegment want{recorded, prefix};
    check_outputs(ledger, want, r, tolerance);
    check_carry(ledger, want, carry, tolerance);
    check_losses(ledger, want, r, tolerance);
  }
}

}  // namespace hrm::parity

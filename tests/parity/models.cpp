// What the checks of whole models share: files, configurations, and a segment module by module.
#include <cstdio>
#include <filesystem>
#include <optional>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/train/checkpoint.h"
#include "tests/parity/checks.h"

namespace hrm::parity {

namespace fs = std::filesystem;

Device device = Device::cpu;

TensorMap load(const Path& path) {
  TensorMap map;
  for (auto& [name, tensor] : read_safetensors(path).tensors) map[name] = tensor.to(device);
  return map;
}

NamedTensors load_named(const Path& path) { return read_safetensors(path).tensors; }

Batch batch_of(const TensorMap& step) {
  Batch batch{step.at("batch.inputs"), step.at("batch.labels"), step.at("batch.puzzle_identifiers"),
              0};
  batch.rows = batch.inputs.size(0);
  return batch;
}

namespace {

void set_sizes(ModelConfig& c, const Json& m) {
  const auto take = [&](const char* key, auto& field) {
    if (m.contains(key) && !m[key].is_null()) m.at(key).get_to(field);
  };
  take("seq_len", c.seq_len);
  take("vocab_size", c.vocab_size);
  take("num_puzzle_identifiers", c.num_puzzle_identifiers);
  take("puzzle_emb_ndim", c.puzzle_emb_ndim);
  take("puzzle_emb_len", c.puzzle_emb_len);
  take("hidden_size", c.hidden_size);
  take("num_heads", c.num_heads);
  take("H_layers", c.H_layers);
  take("L_layers", c.L_layers);
  take("H_cycles", c.H_cycles);
  take("L_cycles", c.L_cycles);
  take("expansion", c.expansion);
  take("rms_norm_eps", c.rms_norm_eps);
  take("rope_theta", c.rope_theta);
  take("halt_max_steps", c.halt_max_steps);
  take("halt_exploration_prob", c.halt_exploration_prob);
  take("mlp_t", c.mlp_t);
}

}  // namespace

ModelConfig model_config(const Json& m, const std::string& family, const std::string& loss) {
  ModelConfig c;
  set_sizes(c, m);
  const std::string pos = m.value("pos_encodings", "rope");
  c.pos_encodings = pos == "rope"      ? PosEncoding::rope
                    : pos == "learned" ? PosEncoding::learned
                                       : PosEncoding::none;
  const std::string type = m.value("forward_dtype", "float32");
  c.dtype = type == "bfloat16" ? DType::bf16 : type == "float64" ? DType::f64 : DType::f32;
  c.loss = loss == "softmax_cross_entropy" ? LossType::softmax_cross_entropy
                                           : LossType::stablemax_cross_entropy;
  if (family == "trm") {
    c.levels = Levels::shared;
    c.gradient = "last_cycle";
    c.q_head = QHead::halt_only;
    c.continue_loss = !m.value("no_ACT_continue", true);
    if (c.puzzle_emb_ndim > 0 && !m.contains("puzzle_emb_len")) c.puzzle_emb_len = 16;
  } else if (family == "baseline") {
    c.levels = Levels::single;
    c.L_layers = c.L_cycles = 0;
    c.gradient = "full_bptt";
    c.continue_loss = false;
  }
  return c;
}

void check_rope_tables(Ledger& ledger, const Path& folder, const ModelConfig& c) {
  if (!fs::exists(folder / "rope_tables.safetensors")) return;
  const TensorMap official = load(folder / "rope_tables.safetensors");
  const RopeTables mine = rope_tables(c.prefix() + c.seq_len, c.hidden_size / c.num_heads,
                                      c.rope_theta, DType::f32, device);
  ledger.close("rope tables", mine.cos, official.at("cos"), 2e-6);
  ledger.close("rope tables", mine.sin, official.at("sin"), 2e-6);
}

namespace {

// Follows the updates of a segment, and compares each with what was recorded of it.
class Trace {
 public:
  Trace(Ledger& ledger, const TensorMap& recorded, const Model& model, double tolerance)
      : ledger_(ledger), recorded_(recorded), model_(model), tolerance_(tolerance) {
    const ModelConfig& c = model.config();
    if (c.pos_encodings == PosEncoding::rope && !c.mlp_t)
      tables_ = rope_tables(model.positions(), c.hidden_size / c.num_heads, c.rope_theta,
                            accumulate_type(c.dtype), device);
  }

  void run(const Tensor& x) {
    const Recurrence recurrence = model_.recurrence();
    const ModelConfig& c = model_.config();
    State state = model_.initial_state(x.size(0));
    const int segments = recorded_.size() > 0 && c.continue_loss && c.halt_max_steps > 1 ? 2 : 1;
    for (int segment = 0; segment < segments; ++segment)
      for (const Level level : recurrence.updates) {
        const bool shared = c.levels == Levels::shared;
        const std::string network = shared || level == Level::L ? "L" : "H";
        bool& seen = network == "L" ? seen_L_ : seen_H_;
        if (!seen) first_block(network, block_input(level, state, x));
        seen = true;
        state = recurrence.apply(level, state, x);
        application(network, level == Level::H ? state.z_H : state.z_L, segment);
      }
  }

 private:
  // What the network of a level is given.
  Tensor block_input(Level level, const State& state, const Tensor& x) const {
    if (model_.config().levels == Levels::single) return state.z_H + x;
    return level == Level::L ? state.z_L + (state.z_H + x) : state.z_H + state.z_L;
  }

  // The parts of the first block of a network.
  void first_block(const std::string& network, const Tensor& h) {
    const ReasoningModule& net = network == "L" ? *model_.L_level : *model_.H_level;
    const Block& block = *net.layers[0];
    const double eps = model_.config().rms_norm_eps;
    const std::string first = "trace.first_" + network + ".";
    const auto check = [&](const std::string& part, const Tensor& got) {
      if (recorded_.contains(first + part))
        ledger_.close(first + part, got, recorded_.at(first + part), tolerance_);
    };
    const RopeTables* t = tables_ ? &*tables_ : nullptr;
    Tensor mixed;
    if (block.self_attn) {
      check("self_attn.qkv_proj", block.self_attn->qkv_proj.forward(h));
      const Tensor a = block.self_attn->forward(h, t);
      check("self_attn", a);
      mixed = add_rms_norm(h, a, eps);
    } else {
      const Tensor across = transpose(h, 1, 2);
      const Tensor a = block.mlp_t->forward(across);
      check("mlp_t", a);
      mixed = transpose(add_rms_norm(across, a, eps), 1, 2);
    }
    check("mlp", block.mlp.forward(mixed));
    check("block0", block.forward(h, t));
  }

  // The state after an application of a network.
  void application(const std::string& network, const Tensor& got, int segment) {
    char key[64];
    std::snprintf(key, sizeof key, "trace.app%02d.%s_level", applications_++, network.c_str());
    // The tolerance is that of the first segment's end; noise grows about threefold in the next.
    if (recorded_.contains(key))
      ledger_.close("trace.app*", got, recorded_.at(key),
                    segment == 0 ? tolerance_ : 3 * tolerance_);
    else if (segment == 0)
      ledger_.ratio(std::string(key) + " (not recorded)", INFINITY);
  }

  Ledger& ledger_;
  const TensorMap& recorded_;
  const Model& model_;
  const double tolerance_;
  std::optional<RopeTables> tables_;
  bool seen_H_ = false, seen_L_ = false;
  int applications_ = 0;
};

}  // namespace

void check_trace(Ledger& ledger, const Path& folder, const Model& model, const Batch& batch,
                 double tolerance) {
  if (!fs::exists(folder / "trace_step_00.safetensors")) return;
  const NoGradGuard no_grad;
  const TensorMap recorded = load(folder / "trace_step_00.safetensors");
  const Tensor& want = recorded.at("trace.input_embeddings");
  const int64_t rows = want.size(0);
  const Tensor ids = batch.puzzle_ids.slice(0, 0, rows);
  const Tensor x =
      model.input_embeddings(batch.inputs.slice(0, 0, rows),
                             model.puzzle_emb ? model.puzzle_emb->rows(ids, false) : Tensor());
  ledger.close("trace.input_embeddings", x, want, tolerance);
  Trace(ledger, recorded, model, tolerance).run(x);
}

}  // namespace hrm::parity

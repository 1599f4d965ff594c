// Parity with recorded numbers of the official implementations. `parity DIR...` checks every
// fixture (a folder with a config.json) found below each DIR, taking sizes, options and tolerances
// from that config, and prints per quantity the largest error divided by its tolerance (below 1
// passes). The exit status is 0 only if everything held and nothing was skipped.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/model/segment.h"
#include "hrm/presets.h"
#include "hrm/train/checkpoint.h"
#include "kernels/optimizer.h"
#include "nn/optim/ema.h"
#include "nn/optim/schedule.h"
#include "nn/optim/sign_sgd.h"
#include "tests/support/ledger.h"

namespace hrm {
namespace {

namespace fs = std::filesystem;
using TensorMap = std::map<std::string, Tensor>;

Device device = Device::cpu;  // where everything runs

TensorMap load(const Path& path) {
  TensorMap map;
  for (auto& [name, tensor] : read_safetensors(path).tensors) map[name] = tensor.to(device);
  return map;
}

// --- ops ----------------------------------------------------------------------------------------

using OpOutputs = std::map<std::string, Tensor>;

// Runs the operation of a fixture on its inputs (already in the wanted dtype).
OpOutputs run_op(const std::string& op, const Json& params, TensorMap& in, DType type) {
  const auto get = [&](const char* name) -> Tensor& { return in.at(name); };
  const auto tables = [&] { return RopeTables{get("cos"), get("sin")}; };
  const auto attend = [&](const Tensor& x) {
    const auto heads = params.at("heads").get<int64_t>();
    const bool rotary = in.contains("cos");
    const RopeTables t = rotary ? tables() : RopeTables{};
    return linear(attention(linear(x, get("qkv_proj.weight")), heads, rotary ? &t : nullptr),
                  get("o_proj.weight"));
  };
  const auto mlp = [&](const Tensor& x) {
    return linear(swiglu(linear(x, get("gate_up_proj.weight"))), get("down_proj.weight"));
  };
  const auto y = [](const Tensor& t) { return OpOutputs{{"y", t}}; };

  if (op == "linear_bias") return y(linear(get("x"), get("weight"), {}, get("bias")));
  if (op == "linear_nobias") return y(linear(get("x"), get("weight")));
  if (op == "embedding") return y(embedding(get("weight"), get("ids")));
  if (op == "rms_norm") return y(rms_norm(get("x"), params.at("eps")));
  if (op == "swiglu") return y(mlp(get("x")));
  if (op == "silu") return y(silu(get("x")));
  if (op == "sigmoid") return y(sigmoid(get("x")));
  if (op == "rope") return {{"q", rope(get("q"), tables())}, {"k", rope(get("k"), tables())}};
  if (op.starts_with("attention_")) return y(attend(get("x")));
  if (op == "block_postnorm") {
    const double eps = params.at("eps");
    const Tensor h = add_rms_norm(get("x"), attend(get("x")), eps);
    return y(add_rms_norm(h, mlp(h), eps));
  }
  if (op == "softmax_cross_entropy")
    return y(cross_entropy(LossType::softmax_cross_entropy, get("logits"), get("labels")));
  if (op == "stablemax_cross_entropy")
    return y(cross_entropy(LossType::stablemax_cross_entropy, get("logits"), get("labels")));
  if (op == "stablemax_s") return y(stablemax_transform(cast(get("x"), DType::f64)));
  if (op == "bce_with_logits") return y(bce_with_logits(get("logits"), get("target").detach()));
  if (op == "bce_with_logits_sum")
    return y(sum(bce_with_logits(get("logits"), get("target").detach())));
  if (op == "softmax") return y(softmax(get("x")));
  if (op == "log_softmax") return y(log_softmax(get("x")));
  if (op == "add_broadcast_last" || op == "add_broadcast_mid") return y(get("a") + get("b"));
  if (op == "mul_broadcast") return y(get("a") * get("b"));
  if (op == "mul_same") return y(get("a") * get("a"));
  if (op == "scale") {
    const double d = static_cast<double>(get("x").shape().back());
    return y((get("x") + get("p")) * (0.707106781 * std::sqrt(d)));
  }
  if (op == "sum_last") return y(sum(get("x"), -1));
  if (op == "mean_mid") return y(mean(get("x"), 1, true));
  if (op == "sum_all") return y(sum(get("x")));
  if (op == "max_last") return y(max(get("x"), -1));
  if (op == "argmax_last") return y(argmax(get("x")));
  if (op == "transpose") return y(matmul(transpose(get("x"), 1, 2), get("w")));
  if (op == "reshape_heads") {
    const Shape s = get("x").shape();
    return y(transpose(reshape(get("x"), {s[0], s[1], 2, s[2] / 2}), 1, 2));
  }
  if (op == "concat_seq") return y(concat({get("a"), get("b")}, 1));
  if (op == "slice_seq") {
    // The prefix length is what the cotangent leaves out.
    const int64_t length = get("x").size(1);
    return y(slice(get("x"), 1, length - get("cotangent").size(1), length));
  }
  if (op == "pad_last")
    return y(pad(get("x"), -1, 0, get("cotangent").shape().back() - get("x").shape().back()));
  if (op == "gather_last") return y(gather_last(get("x"), get("index")));
  if (op == "scatter_add")
    return y(scatter_add(get("src"), get("index"), get("cotangent").size(0)));
  if (op == "index_rows") return y(embedding(get("w"), get("ids")));
  if (op == "where") return y(where(get("mask"), get("a"), get("b")));
  if (op == "matmul_batched") return y(matmul(get("a"), get("b")));
  if (op == "exp_log_sqrt_rsqrt")
    return {{"exp", exp(get("x"))},
            {"log", log(get("x"))},
            {"sqrt", sqrt(get("x"))},
            {"rsqrt", rsqrt(get("x"))}};
  if (op == "atan2") {
    const NoGradGuard no_grad;
    return y(atan2(get("m"), get("d")));
  }
  if (op == "optim_adam_atan2") {
    OpOutputs out;
    Parameter p = Parameter::make(get("p0").detach(), type);
    AdamOptions options;
    options.beta1 = params.at("beta1");
    options.beta2 = params.at("beta2");
    options.weight_decay = params.at("weight_decay");
    Adam adam({{"p", &p}}, options);
    const int64_t steps = get("g").size(0), skip = params.value("skip", int64_t{-1});
    for (int64_t i = 0; i < steps; ++i) {
      if (i != skip)
        p.value.set_grad(get("g").detach().sliced(0, i, i + 1).clone().view(p.value.shape()));
      adam.step(params.at("lr")[i]);
      adam.zero_grad();
      out["p_after" + std::to_string(i)] = p.value.clone();
    }
    out["exp_avg"] = find(adam.state_dict(), "exp_avg.p")->clone();
    out["exp_avg_sq"] = find(adam.state_dict(), "exp_avg_sq.p")->clone();
    return out;
  }
  if (op == "optim_sparse_signsgd") {
    OpOutputs out;
    const Tensor start = get("table").detach();
    LayerOptions options;
    options.dtype = type;
    options.device = device;
    SparseEmbedding table(start.size(0), start.size(1), 0, options);
    table.weights.copy_from(start);
    // The recorded schedule and decay of this fixture, from its description.
    const Json lrs = params.contains("lr") ? params["lr"] : Json({0.01, 0.02, 0.03});
    const double decay = params.value("weight_decay", 0.1);
    for (int64_t i = 0; i < get("g").size(0); ++i) {
      const Tensor g = get("g").detach().sliced(0, i, i + 1).clone();
      const Tensor ids = get("ids").sliced(0, i, i + 1).clone();
      sign_sgd_step(table, g.view({g.size(1), g.size(2)}), ids.view({ids.size(1)}),
                    lrs.at(static_cast<size_t>(i)), decay);
      out["table_after" + std::to_string(i)] = table.weights.clone();
    }
    return out;
  }
  return {};
}

// One pass over an op in `type`: outputs and gradients against the recorded ones.
void check_op(Ledger& ledger, const std::string& op, const Json& entry, const TensorMap& fixture,
              DType type, const std::string& label) {
  TensorMap in;
  for (const auto& [name, tensor] : fixture)
    if (name.starts_with("in.")) {
      Tensor t = is_floating(tensor.dtype()) ? tensor.to(type).clone() : tensor;
      if (is_floating(t.dtype())) t.set_requires_grad();
      in[name.substr(3)] = t;
    }
  const OpOutputs outputs = run_op(op, entry.at("params"), in, type);
  if (outputs.empty()) return ledger.ratio(op + " (no such operation)", INFINITY);
  const Json& advised = entry.at("tolerance_advised");
  const auto compare = [&](const std::string& key, const Tensor& got, const Tensor& want) {
    const std::string quantity = op + " " + key + label;
    if (!is_floating(want.dtype())) return ledger.exact(quantity, got, want);
    if (type == DType::f64) {
      // "A float64 implementation should reach 1e-12 relative": to the scale of the tensor.
      double scale = 1e-300;
      for (const double v : want.to_vector()) scale = std::max(scale, std::abs(v));
      return ledger.close(quantity, got, want, 1e-12 * std::max(scale, 1.0), 1e-12);
    }
    const Json tolerance =
        advised.contains(key) ? advised[key] : Json{{"rtol", 2e-5}, {"atol", 2e-6}};
    ledger.close(quantity, got, want, tolerance.at("atol"), tolerance.at("rtol"));
  };
  for (const auto& [name, got] : outputs) {
    const auto want = fixture.find("out64." + name);
    const auto plain = fixture.find("out." + name);
    if (want != fixture.end()) compare("out." + name, got, want->second);
    if (plain != fixture.end()) compare("out." + name, got, plain->second);
    if (want == fixture.end() && plain == fixture.end())
      ledger.ratio(op + " out." + name + " (not recorded)", INFINITY);
  }
  Tensors heads, cotangents;
  for (const auto& [name, got] : outputs) {
    const auto one = in.find("cotangent"), named = in.find("cotangent." + name);
    if (one == in.end() && named == in.end()) continue;
    heads.push_back(got);
    const Tensor c = (named != in.end() ? named : one)->second.detach();
    cotangents.push_back(c.to(got.dtype()).view(got.shape()));
  }
  if (heads.empty()) return;
  Tensors wanted;
  std::vector<std::string> names;
  for (const auto& [name, want] : fixture)
    if (name.starts_with("grad64.")) {
      names.push_back(name.substr(7));
      wanted.push_back(in.at(names.back()));
    }
  const Tensors grads = grad(heads, wanted, cotangents);
  for (size_t i = 0; i < names.size(); ++i)
    compare("grad." + names[i], grads[i], fixture.at("grad64." + names[i]));
}

void check_ops(Ledger& ledger, const Path& folder, const Json& config) {
  for (const auto& [op, entry] : config.at("ops").items()) {
    const TensorMap fixture = load(folder / (op + ".safetensors"));
    check_op(ledger, op, entry, fixture, DType::f32, "");
    check_op(ledger, op, entry, fixture, DType::f64, " f64");
    set_fusion(false);
    check_op(ledger, op, entry, fixture, DType::f64, " f64 unfused");
    set_fusion(true);
  }
}

// --- models -------------------------------------------------------------------------------------

ModelConfig model_config(const Json& m, const std::string& family, const std::string& loss) {
  ModelConfig c;
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

NamedTensors load_named(const Path& path) { return read_safetensors(path).tensors; }

Batch batch_of(const TensorMap& step, const std::string& prefix = "batch.") {
  Batch batch{step.at(prefix + "inputs"), step.at(prefix + "labels"),
              step.at(prefix + "puzzle_identifiers"), 0};
  batch.rows = batch.inputs.size(0);
  return batch;
}

void check_rope_tables(Ledger& ledger, const Path& folder, const ModelConfig& c) {
  if (!fs::exists(folder / "rope_tables.safetensors")) return;
  const TensorMap official = load(folder / "rope_tables.safetensors");
  const RopeTables mine = rope_tables(c.prefix() + c.seq_len, c.hidden_size / c.num_heads,
                                      c.rope_theta, DType::f32, device);
  ledger.close("rope tables", mine.cos, official.at("cos"), 2e-6);
  ledger.close("rope tables", mine.sin, official.at("sin"), 2e-6);
}

// Module outputs of step 0 for the first batch rows, in order of execution.
void check_trace(Ledger& ledger, const Path& folder, const Model& model, const Batch& batch,
                 double tolerance) {
  if (!fs::exists(folder / "trace_step_00.safetensors")) return;
  const NoGradGuard no_grad;
  const TensorMap trace = load(folder / "trace_step_00.safetensors");
  const Tensor& x_want = trace.at("trace.input_embeddings");
  const int64_t rows = x_want.size(0);
  const Tensor ids = batch.puzzle_ids.sliced(0, 0, rows);
  const Tensor x =
      model.input_embeddings(batch.inputs.sliced(0, 0, rows),
                             model.puzzle_emb ? model.puzzle_emb->rows(ids, false) : Tensor());
  ledger.close("trace.input_embeddings", x, x_want, tolerance);

  const Recurrence recurrence = model.recurrence();
  const ModelConfig& c = model.config();
  std::optional<RopeTables> tables;
  if (c.pos_encodings == PosEncoding::rope && !c.mlp_t)
    tables = rope_tables(model.positions(), c.hidden_size / c.num_heads, c.rope_theta,
                         accumulate_type(c.dtype), device);
  State state = model.initial_state(rows);
  bool seen_H = false, seen_L = false;
  int application = 0;
  const int segments = trace.size() > 0 && c.continue_loss && c.halt_max_steps > 1 ? 2 : 1;
  for (int segment = 0; segment < segments; ++segment)
    for (const Level level : recurrence.updates) {
      const bool shared = c.levels == Levels::shared;
      const std::string name = shared || level == Level::L ? "L" : "H";
      bool& seen = name == "L" ? seen_L : seen_H;
      if (!seen) {
        seen = true;
        const ReasoningModule& net = name == "L" ? *model.L_level : *model.H_level;
        const Block& block = *net.layers[0];
        const Tensor h = c.levels == Levels::single ? state.z_H + x
                         : level == Level::L        ? state.z_L + (state.z_H + x)
                                                    : state.z_H + state.z_L;
        const std::string first = "trace.first_" + name + ".";
        const auto check = [&](const std::string& part, const Tensor& got) {
          if (trace.contains(first + part))
            ledger.close("trace.first_" + name + "." + part, got, trace.at(first + part),
                         tolerance);
        };
        const RopeTables* t = tables ? &*tables : nullptr;
        Tensor mixed;
        if (block.self_attn) {
          check("self_attn.qkv_proj", block.self_attn->qkv_proj.forward(h));
          const Tensor a = block.self_attn->forward(h, t);
          check("self_attn", a);
          mixed = add_rms_norm(h, a, c.rms_norm_eps);
        } else {
          const Tensor across = transpose(h, 1, 2);
          const Tensor a = block.mlp_t->forward(across);
          check("mlp_t", a);
          mixed = transpose(add_rms_norm(across, a, c.rms_norm_eps), 1, 2);
        }
        check("mlp", block.mlp.forward(mixed));
        check("block0", block.forward(h, t));
      }
      state = recurrence.apply(level, state, x);
      char key[64];
      std::snprintf(key, sizeof key, "trace.app%02d.%s_level", application++, name.c_str());
      // The tolerance is that of the first segment's end; noise grows about threefold in the next.
      if (trace.contains(key))
        ledger.close("trace.app*", level == Level::H ? state.z_H : state.z_L, trace.at(key),
                     segment == 0 ? tolerance : 3 * tolerance);
      else if (segment == 0)
        ledger.ratio(std::string(key) + " (not recorded)", INFINITY);
    }
}

// "at least 99.9 % of the elements within the tolerance, the rest within 2 lr per step".
void check_after(Ledger& ledger, const std::string& quantity, std::vector<double> errors,
                 double tolerance, double outlier) {
  std::sort(errors.begin(), errors.end());
  const size_t at = errors.size() - 1 - errors.size() / 1000;
  ledger.ratio(quantity, errors[at] / tolerance);
  ledger.ratio(quantity + " (largest)", errors.back() / (outlier + tolerance));
}

// A model in training with its optimizer.
struct Replica {
  Replica(const ModelConfig& c, const NamedTensors& weights, const Json& o, int64_t batch)
      : model(c, nullptr, device), adam(model.named_parameters(kOfficialPrefix), options(o)) {
    model.load_state_dict(weights, kOfficialPrefix);
    carry = initial_carry(model, batch);
  }
  static AdamOptions options(const Json& o) {
    AdamOptions options;
    options.beta1 = o.at("beta1");
    options.beta2 = o.at("beta2");
    options.weight_decay = o.at("weight_decay");
    return options;
  }
  SegmentResult segment(const Batch& batch, const Exploration& exploration, double scale) {
    begin_segment(model, carry, batch, Refill::reference);
    return train_segment(model, carry, exploration, scale);
  }
  void update(const Tensor& puzzle_grad, const Json& o, double lr, double table_lr) {
    if (puzzle_grad.defined())
      sign_sgd_step(*model.puzzle_emb, puzzle_grad, carry.puzzle_ids, table_lr,
                    o.at("puzzle_emb_weight_decay"));
    adam.step(lr);
    adam.zero_grad();
  }
  Model model;
  Adam adam;
  Carry carry;
};

// Adam-atan2 and SignSGD do not see the size of a gradient, so the direction of an element at
// rounding level (below 1e-6 of the tensor's largest, the limit the fixtures name) is noise in f32.
// Such elements are taken from the f64 run of the same steps.
void settle_rounding_level(const Tensor& gradient, const Tensor& precise) {
  Values g = gradient.to_vector();
  const Values p = precise.to_vector();
  double largest = 0;
  for (const double v : g) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < g.size(); ++i)
    if (std::abs(g[i]) < 1e-6 * largest) g[i] = p[i];
  Tensor target = gradient;
  target.copy_from(from_vector(g, gradient.shape()));
}

void check_training(Ledger& ledger, const Path& folder, const Json& config) {
  const std::string family = config.at("family");
  ModelConfig c = model_config(config.at("model"), family, config.at("loss_type"));
  check_rope_tables(ledger, folder, c);
  const Json& o = config.at("optimizer");
  const NamedTensors weights = load_named(folder / "weights_init.safetensors");
  const int64_t batch_size = config.at("model").at("batch_size");
  Replica replica(c, weights, o, batch_size);
  Model& model = replica.model;
  Carry& carry = replica.carry;
  std::optional<Replica> precise;
  if (c.dtype == DType::f32) {
    c.dtype = DType::f64;
    precise.emplace(c, weights, o, batch_size);
  }
  ledger.scalar("trainable_parameter_count", static_cast<double>(model.parameter_count()),
                config.at("trainable_parameter_count"), 1e-9);
  std::optional<Ema> ema;
  if (!config.at("ema_rate").is_null())
    ema.emplace(model.named_parameters(kOfficialPrefix), config.at("ema_rate").get<double>());
  const Schedule schedule{o.at("lr_warmup_steps"), o.at("total_steps"), o.at("lr_min_ratio")};
  const double scale = 1 / o.at("global_batch_size").get<double>();

  const int64_t steps = config.at("steps");
  double outlier = 0, outlier_table = 0;  // how far a sign-like optimizer may have drifted
  std::vector<double> table_allowance;    // the same for elements whose sign is not determined
  for (int64_t i = 0; i < steps; ++i) {
    const Json& tolerance = config.at("tolerances_advised").at(i == 0 ? "step0" : "all");
    const auto tol = [&](const char* key) { return tolerance.value(key, 1e-6); };
    char file[32];
    std::snprintf(file, sizeof file, "step_%02d.safetensors", static_cast<int>(i));
    const TensorMap step = load(folder / file);
    if (i == 0)
      check_trace(ledger, folder, model, batch_of(step),
                  std::max(tol("carry.z_H"), tol("out.logits")));
    Exploration exploration;
    if (step.contains("rand.u")) exploration = {step.at("rand.u"), step.at("rand.min_steps")};
    const SegmentResult r = replica.segment(batch_of(step), exploration, scale);
    ledger.exact("cur.inputs", carry.inputs, step.at("cur.inputs"));
    ledger.exact("cur.labels", carry.labels, step.at("cur.labels"));
    ledger.exact("cur.puzzle_identifiers", carry.puzzle_ids, step.at("cur.puzzle_identifiers"));
    ledger.close("out.logits", r.outputs.logits, step.at("out.logits"), tol("out.logits"));
    ledger.close("out.q_halt_logits", r.outputs.q.halt, step.at("out.q_halt_logits"),
                 tol("out.q_halt_logits"));
    ledger.close("out.q_continue_logits", r.outputs.q.continue_, step.at("out.q_continue_logits"),
                 tol("out.q_continue_logits"));
    if (step.contains("out.target_q_continue"))
      ledger.close("out.target_q_continue", r.target_q, step.at("out.target_q_continue"),
                   tol("out.target_q_continue"));
    if (step.contains("out.preds"))
      ledger.exact("out.preds", r.loss.predictions, step.at("out.preds"));
    ledger.exact("carry.steps", carry.steps, step.at("carry.steps"));
    ledger.exact("carry.halted", carry.halted, step.at("carry.halted"));
    ledger.close("carry.z_H", carry.state.z_H, step.at("carry.z_H"), tol("carry.z_H"));
    if (step.contains("carry.z_L"))
      ledger.close("carry.z_L", carry.state.z_L, step.at("carry.z_L"), tol("carry.z_L"));
    ledger.close("loss.total", r.loss.total, step.at("loss.total"), tol("loss.total"));
    ledger.close("metric.lm_loss", r.loss.lm, step.at("metric.lm_loss"), tol("metric.lm_loss"));
    ledger.close("metric.q_halt_loss", r.loss.q_halt, step.at("metric.q_halt_loss"),
                 tol("metric.q_halt_loss"));
    if (step.contains("metric.q_continue_loss")) {
      // The advised tolerance of this sum can be smaller than those of its terms allow: in bf16,
      // where terms differ visibly, theirs decide.
      double allowed = tol("metric.q_continue_loss");
      if (c.dtype == DType::bf16) {
        const Values q = step.at("out.q_continue_logits").to_vector();
        const Values t = step.at("out.target_q_continue").to_vector();
        double propagated = 0;
        for (size_t b = 0; b < q.size(); ++b)
          propagated += std::abs(1 / (1 + std::exp(-q[b])) - t[b]) * tol("out.q_continue_logits") +
                        std::abs(q[b]) * tol("out.target_q_continue");
        allowed = std::max(allowed, propagated);
      }
      ledger.close("metric.q_continue_loss", r.loss.q_continue, step.at("metric.q_continue_loss"),
                   allowed);
    }
    const Values m = r.metrics.to_vector();
    const char* names[5] = {"count", "accuracy", "exact_accuracy", "q_halt_accuracy", "steps"};
    // Where logits tie (bf16), the argmax of a token is not determined: one token may differ.
    const bool ties = config.at("decision_safety").at("min_argmax_margin_valid") == 0;
    const double token = ties ? 2.0 / static_cast<double>(c.seq_len) : 0;
    for (int k = 0; k < 5; ++k)
      ledger.scalar(std::string("metric.") + names[k], m[k],
                    step.at(std::string("metric.") + names[k]).item(),
                    k == 1 ? 1e-6 + token : 1e-12);

    Tensor local_grad;
    if (r.puzzle_rows.defined()) local_grad = r.puzzle_rows.grad();
    if (step.contains("puzzle.local_grad")) {
      ledger.close("puzzle.local_grad", local_grad, step.at("puzzle.local_grad"),
                   tol("puzzle.local_grad"));
      ledger.exact("puzzle.local_ids", carry.puzzle_ids, step.at("puzzle.local_ids"));
    }
    for (const auto& [name, p] : model.named_parameters(kOfficialPrefix)) {
      if (!p->value.grad().defined()) ledger.ratio("gradient of " + name + " missing", INFINITY);
      if (step.contains("grad." + name))
        ledger.close("grad.*", p->value.grad(), step.at("grad." + name), tol("grad.*"));
    }
    if (i == 0 && config.contains("zero_gradient_rows_at_step0"))
      for (const auto& [name, p] : model.named_parameters(kOfficialPrefix)) {
        const Json& listed = config["zero_gradient_rows_at_step0"];
        if (!listed.contains(name)) continue;
        for (const int64_t row : listed[name].get<std::vector<int64_t>>())
          for (const double v : p->value.grad().sliced(0, row, row + 1).to_vector())
            ledger.ratio("zero gradient rows", v == 0 ? 0 : INFINITY);
      }

    const double lr = schedule(o.at("lr"), i + 1),
                 table_lr = schedule(o.at("puzzle_emb_lr"), i + 1);
    outlier += 2 * lr;
    outlier_table += 2 * table_lr;
    const Json& recorded = config.at("lr_per_step")[i];
    const auto& order = recorded.at("order");
    for (size_t k = 0; k < order.size(); ++k)
      ledger.scalar("lr", order[k] == "model" ? lr : table_lr, recorded.at("lrs")[k], 1e-15);
    if (precise) {
      const SegmentResult p = precise->segment(batch_of(step), exploration, scale);
      ledger.close("out.logits f64", p.outputs.logits, step.at("out.logits"), tol("out.logits"));
      ledger.close("carry.z_H f64", precise->carry.state.z_H, step.at("carry.z_H"),
                   tol("carry.z_H"));
      ledger.close("loss.total f64", p.loss.total, step.at("loss.total"), tol("loss.total"));
      const auto exact = precise->model.named_parameters();
      const auto single = model.named_parameters();
      for (size_t k = 0; k < exact.size(); ++k)
        settle_rounding_level(single[k].second->value.grad(), exact[k].second->value.grad());
      const Tensor precise_grad = p.puzzle_rows.defined() ? p.puzzle_rows.grad() : Tensor();
      if (local_grad.defined()) settle_rounding_level(local_grad, precise_grad);
      precise->update(precise_grad, o, lr, table_lr);
    }
    if (local_grad.defined()) {
      // A table element whose summed gradient is within the tolerance of 0 may go either way.
      const int64_t dim = local_grad.size(1);
      std::map<int32_t, Values> sums;
      const Values g = step.at("puzzle.local_grad").to_vector();
      const Values local_ids = step.at("puzzle.local_ids").to_vector();
      for (int64_t b = 0; b < batch_size; ++b) {
        Values& row = sums[static_cast<int32_t>(local_ids[b])];
        row.resize(dim);
        for (int64_t d = 0; d < dim; ++d) row[d] += g[b * dim + d];
      }
      table_allowance.resize(model.puzzle_emb->weights.numel());
      for (const auto& [id, row] : sums)
        for (int64_t d = 0; d < dim; ++d)
          if (c.dtype == DType::bf16 && std::abs(row[d]) < tol("puzzle.local_grad"))
            table_allowance[id * dim + d] += 2 * table_lr;
    }
    replica.update(local_grad, o, lr, table_lr);
    if (ema) ema->update();

    std::vector<double> errors, table_errors, ema_errors;
    const NamedTensors now = model.state_dict(kOfficialPrefix);
    for (const auto& [name, want] : step) {
      const bool after = name.starts_with("after."), averaged = name.starts_with("ema.");
      if (!after && !averaged) continue;
      const Tensor* got = nullptr;
      const NamedTensors averages = averaged ? ema->state_dict() : NamedTensors{};
      got = after ? find(now, name.substr(6)) : find(averages, name);
      if (!got) {
        ledger.ratio(name + " (no such tensor)", INFINITY);
        continue;
      }
      const Values g = got->to_vector(), w = want.to_vector();
      auto& list = averaged                               ? ema_errors
                   : name.ends_with("puzzle_emb.weights") ? table_errors
                                                          : errors;
      for (size_t k = 0; k < g.size(); ++k)
        list.push_back(std::max(
            0.0, std::abs(g[k] - w[k]) - (&list == &table_errors ? table_allowance[k] : 0.0)));
    }
    const double after_tol = tol("after.*");
    if (!errors.empty()) check_after(ledger, "after.*", errors, after_tol, outlier);
    if (!table_errors.empty())
      check_after(ledger, "after.puzzle_emb.weights", table_errors, tol("after.puzzle_emb.weights"),
                  outlier_table);
    if (!ema_errors.empty()) check_after(ledger, "ema.*", ema_errors, tol("ema.*"), outlier);

    // Sum, norm and largest entry of every tensor, also where the tensors were not dumped.
    const Json& stats = config.at("param_stats_per_step").at("values")[i];
    for (const auto& [name, want] : stats.items()) {
      const Tensor* got = find(now, name);
      if (!got) {
        ledger.ratio("param_stats " + name + " (no such tensor)", INFINITY);
        continue;
      }
      double total = 0, squares = 0, largest = 0;
      for (const double v : got->to_vector()) {
        total += v;
        squares += v * v;
        largest = std::max(largest, std::abs(v));
      }
      const double n = static_cast<double>(got->numel());
      const bool table = name.ends_with("puzzle_emb.weights");
      const double each = table ? tol("after.puzzle_emb.weights") : after_tol;
      // 0.1 % of the elements may be outliers; errors of single elements add up at random.
      const double stray = (table ? outlier_table : outlier) * std::ceil(n / 1000);
      ledger.scalar("param_stats sum", total, want[0], each * n + stray);
      ledger.scalar("param_stats norm", std::sqrt(squares), want[1], each * std::sqrt(n) + stray);
      ledger.scalar("param_stats max", largest, want[2], each + stray);
    }
  }
  const Path moments = folder / "opt_state_final.safetensors";
  if (fs::exists(moments)) {
    const NamedTensors state = replica.adam.state_dict();
    for (const auto& [name, want] : load(moments)) {
      const Tensor* got = find(state, name);
      // A moment is a mean of gradients (or of their squares), so their tolerance bounds it.
      const double tolerance = config.at("tolerances_advised").at("all").value("grad.*", 1e-6);
      if (got)
        ledger.close(name.starts_with("exp_avg_sq") ? "exp_avg_sq" : "exp_avg", *got, want,
                     tolerance, 1e-3);
      else
        ledger.ratio(name + " (no such tensor)", INFINITY);
    }
  }
}

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
    const auto want = [&](const std::string& name) { return recorded.at(prefix + name); };
    const auto has = [&](const std::string& name) { return recorded.contains(prefix + name); };
    begin_segment(model, carry, batch_of(recorded), Refill::reference);
    const SegmentResult r = eval_segment(model, carry);
    ledger.close("out.logits", r.outputs.logits, want("out.logits"), tolerance.at("out.logits"));
    ledger.close("out.q_*", r.outputs.q.halt, want("out.q_halt_logits"), tolerance.at("out.q_*"));
    ledger.close("out.q_*", r.outputs.q.continue_, want("out.q_continue_logits"),
                 tolerance.at("out.q_*"));
    ledger.exact("out.preds", r.loss.predictions, want("out.preds"));
    ledger.exact("carry.steps", carry.steps, want("carry.steps"));
    ledger.exact("carry.halted", carry.halted, want("carry.halted"));
    if (has("carry.z_H"))
      ledger.close("carry.z", carry.state.z_H, want("carry.z_H"), tolerance.at("carry.z"));
    if (has("carry.z_L"))
      ledger.close("carry.z", carry.state.z_L, want("carry.z_L"), tolerance.at("carry.z"));
    const double loss_tol = tolerance.at("loss.total");
    ledger.close("loss.total", r.loss.total, want("loss.total"), loss_tol);
    ledger.close("metric.lm_loss", r.loss.lm, want("metric.lm_loss"), loss_tol);
    ledger.close("metric.q_halt_loss", r.loss.q_halt, want("metric.q_halt_loss"), loss_tol);
    const Values m = r.metrics.to_vector();
    const char* names[5] = {"count", "accuracy", "exact_accuracy", "q_halt_accuracy", "steps"};
    for (int k = 0; k < 5; ++k)
      ledger.scalar(std::string("metric.") + names[k], m[k],
                    want(std::string("metric.") + names[k]).item(), k == 1 ? 1e-6 : 1e-12);
  }
}

// --- gradients of the last k applications -------------------------------------------------------

void check_gradients(Ledger& ledger, const Path& folder, const Json& config) {
  ModelConfig c = model_config(config.at("model"), "hrm", config.at("loss_type"));
  const TensorMap problem = load(folder / "problem.safetensors");
  const Batch batch = batch_of(problem);
  const int64_t total = config.at("number_of_applications");
  const auto gradients = [&](const std::string& rule, std::map<std::string, Tensor>& found) {
    c.gradient = rule;
    Model model(c, nullptr, device);
    model.load_state_dict(load_named(folder / "weights.safetensors"), kOfficialPrefix);
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
    for (const auto& [name, p] : model.named_parameters(kOfficialPrefix))
      if (p->value.grad().defined()) found[name] = p->value.grad();
    if (rows.grad().defined()) found["puzzle.local"] = rows.grad();
  };
  const auto relative = [](const Tensor& got, const Tensor& want) {
    const Values g = got.to_vector(), w = want.to_vector();
    double error = 0, norm = 0;
    for (size_t i = 0; i < g.size(); ++i) {
      error += (g[i] - w[i]) * (g[i] - w[i]);
      norm += w[i] * w[i];
    }
    return std::sqrt(error / std::max(norm, 1e-300));
  };
  std::vector<std::pair<std::string, int64_t>> rules;
  for (int64_t k = 1; k <= total; ++k) rules.emplace_back("last_k:" + std::to_string(k), k);
  rules.emplace_back("one_step", 2);
  rules.emplace_back("full_bptt", total);
  rules.emplace_back("checkpointed", total);
  for (const auto& [rule, k] : rules) {
    char file[48];
    std::snprintf(file, sizeof file, "grad_last%02d.safetensors", static_cast<int>(k));
    std::map<std::string, Tensor> found;
    gradients(rule, found);
    for (const auto& [name, want] : load(folder / file)) {
      std::string key = name.starts_with("grad.") ? name.substr(5) : name;
      if (!found.contains(key)) {
        ledger.ratio(rule + " " + name + " (no gradient)", INFINITY);
        continue;
      }
      ledger.close(rule + " absolute", found.at(key), want, 1e-10);
      ledger.ratio(rule + " relative l2", relative(found.at(key), want) / 1e-9);
    }
  }
}

// --- initialisation, sizes, schedules -----------------------------------------------------------

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

void check_init(Ledger& ledger, const Path&, const Json& config) {
  const Json& normal = config.at("trunc_normal");
  check_truncated_normal(ledger, normal.at("samples"), normal.at("exact_kurtosis"));
  for (const Json& row : config.at("swiglu_inter").at("table"))
    ledger.scalar("swiglu size",
                  static_cast<double>(swiglu_size(row.at("hidden"), row.at("expansion"))),
                  row.at("inter"), 1e-9);
  for (const Json& table : config.at("lr_schedule").at("tables")) {
    const Schedule schedule{table.at("lr_warmup_steps"), table.at("total_steps"),
                            table.at("lr_min_ratio")};
    const double base = table.at("base_lr");
    for (const Json& value : table.at("values"))
      ledger.scalar("lr schedule", schedule(base, value[0]), value[1], base * 1e-14);
  }
  for (const auto& [name, entry] : config.at("parameter_counts").at("models").items()) {
    const Json& m = entry.at("config");
    const std::string family = name.starts_with("trm")        ? "trm"
                               : name.starts_with("baseline") ? "baseline"
                                                              : "hrm";
    const Model model(model_config(m, family, "stablemax_cross_entropy"), nullptr, device);
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
  // Initial values: q_head weight 0 and bias -5, puzzle table 0, the rest as the rules say.
  ModelConfig c = preset("sudoku4").model;
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
  // What the official code rejects because it makes no sense, we reject with one line.
  for (const auto& [what, message] :
       config.at("configurations_the_official_code_rejects").items()) {
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
    } else
      continue;  // limits of the official program that this one does not have
    bool rejected = false;
    try {
      bad.validate();
    } catch (const Error&) {
      rejected = true;
    }
    ledger.ratio("rejects: " + what, rejected ? 0 : INFINITY);
  }
}

// --- the program --------------------------------------------------------------------------------

struct Totals {
  int passed = 0, failed = 0, skipped = 0;
};

void check_fixture(const Path& folder, Totals& totals) {
  const Json config = read_json(folder / "config.json");
  const std::string name = config.value("fixture", folder.string());
  const std::string family = name.substr(0, name.find('/'));
  void (*check)(Ledger&, const Path&, const Json&) = nullptr;
  if (family == "ops") check = check_ops;
  if (family == "hrm_train" || family == "trm_train") check = check_training;
  if (family == "hrm_eval") check = check_evaluation;
  if (family == "gradients") check = check_gradients;
  if (family == "init") check = check_init;
  if (family == "arc_pipeline") check = check_arc_pipeline;
  if (!check) {
    std::printf("SKIPPED %s: fixtures of this family have no check yet\n", name.c_str());
    ++totals.skipped;
    return;
  }
  Ledger ledger(name);
  try {
    check(ledger, folder, config);
  } catch (const std::exception& error) {
    std::printf("FAIL  %s: %s\n", name.c_str(), error.what());
    ++totals.failed;
  }
  const auto [passed, failed] = ledger.print();
  totals.passed += passed;
  totals.failed += failed;
}

int run(const std::vector<std::string>& roots) {
  Totals totals;
  for (const std::string& root : roots) {
    std::vector<Path> folders;
    std::error_code missing;
    if (fs::exists(Path(root) / "config.json")) folders.push_back(root);
    for (const auto& entry : fs::recursive_directory_iterator(root, missing))
      if (entry.path().filename() == "config.json" && entry.path().parent_path() != Path(root))
        folders.push_back(entry.path().parent_path());
    if (folders.empty()) {
      std::printf("SKIPPED %s: no fixture there\n", root.c_str());
      ++totals.skipped;
    }
    std::sort(folders.begin(), folders.end());
    for (const Path& folder : folders) check_fixture(folder, totals);
  }
  std::printf("%d passed, %d failed, %d skipped\n", totals.passed, totals.failed, totals.skipped);
  return totals.failed == 0 && totals.skipped == 0 && totals.passed > 0 ? 0 : 1;
}

}  // namespace
}  // namespace hrm

int main(int argc, char** argv) {
  std::vector<std::string> folders(argv + 1, argv + argc);
  const bool on_gpu = !folders.empty() && folders[0] == "--cuda";
  if (on_gpu) {
    folders.erase(folders.begin());
    hrm::device = hrm::Device::cuda;
  }
  if (folders.empty() || (on_gpu && !hrm::kBuiltWithCuda)) {
    std::fprintf(stderr,
                 "usage: parity [--cuda] DIR...  (folders with fixtures; --cuda: on the "
                 "GPU, in a build that has it)\n");
    return 2;
  }
  return hrm::run(folders);
}

// Single operations and optimizers: outputs and gradients against the recorded ones.
#include "autograd/ops/ops.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <nlohmann/json.hpp>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "nn/optim/adam.h"
#include "nn/optim/sign_sgd.h"
#include "tests/parity/checks.h"

namespace hrm::parity {
namespace {

using OpOutputs = std::map<std::string, Tensor>;

// What an operation of a fixture is run on. Floating tensors are already in `type`.
struct OpInputs {
  const Json& params;
  const TensorMap& tensors;
  DType type;

  const Tensor& operator()(const char* name) const { return tensors.at(name); }
  int64_t last_size(const char* name) const { return tensors.at(name).shape().back(); }
  RopeTables rope() const { return {tensors.at("cos"), tensors.at("sin")}; }
};
using Operation = std::function<OpOutputs(const OpInputs&)>;
using Operations = std::map<std::string, Operation>;

// An operation whose only output is called y.
Operation one_output(const std::function<Tensor(const OpInputs&)>& run) {
  return [run](const OpInputs& in) { return OpOutputs{{"y", run(in)}}; };
}

// --- layers -------------------------------------------------------------------------------------

// Attention over x with its projections; rotary where the fixture holds tables.
Tensor attend(const OpInputs& in) {
  const auto heads = in.params.at("heads").get<int64_t>();
  const bool rotary = in.tensors.contains("cos");
  const RopeTables tables = rotary ? in.rope() : RopeTables{};
  const Tensor qkv = linear(in("x"), in("qkv_proj.weight"));
  return linear(attention(qkv, heads, rotary ? &tables : nullptr), in("o_proj.weight"));
}

Tensor mlp(const OpInputs& in, const Tensor& x) {
  return linear(swiglu(linear(x, in("gate_up_proj.weight"))), in("down_proj.weight"));
}

Tensor block_postnorm(const OpInputs& in) {
  const double eps = in.params.at("eps");
  const Tensor h = add_rms_norm(in("x"), attend(in), eps);
  return add_rms_norm(h, mlp(in, h), eps);
}

OpOutputs rotated(const OpInputs& in) {
  return {{"q", rope(in("q"), in.rope())}, {"k", rope(in("k"), in.rope())}};
}

Operations layers() {
  using In = const OpInputs&;
  return {
      {"linear_bias",
       one_output([](In in) { return linear(in("x"), in("weight"), {}, in("bias")); })},
      {"linear_nobias", one_output([](In in) { return linear(in("x"), in("weight")); })},
      {"embedding", one_output([](In in) { return embedding(in("weight"), in("ids")); })},
      {"index_rows", one_output([](In in) { return embedding(in("w"), in("ids")); })},
      {"rms_norm", one_output([](In in) { return rms_norm(in("x"), in.params.at("eps")); })},
      {"swiglu", one_output([](In in) { return mlp(in, in("x")); })},
      {"rope", rotated},
      {"block_postnorm", one_output(block_postnorm)},
  };
}

// --- losses -------------------------------------------------------------------------------------

Tensor bce(const OpInputs& in) { return bce_with_logits(in("logits"), in("target").detach()); }

Operations losses() {
  using In = const OpInputs&;
  const auto cross = [](LossType type) {
    return one_output([type](In in) { return cross_entropy(type, in("logits"), in("labels")); });
  };
  return {
      {"softmax_cross_entropy", cross(LossType::softmax_cross_entropy)},
      {"stablemax_cross_entropy", cross(LossType::stablemax_cross_entropy)},
      {"stablemax_s",
       one_output([](In in) { return stablemax_transform(cast(in("x"), DType::f64)); })},
      {"bce_with_logits", one_output(bce)},
      {"bce_with_logits_sum", one_output([](In in) { return sum(bce(in)); })},
      {"softmax", one_output([](In in) { return softmax(in("x")); })},
      {"log_softmax", one_output([](In in) { return log_softmax(in("x")); })},
  };
}

// --- arithmetic and reductions ------------------------------------------------------------------

// What the official code does with the sum of two embeddings.
Tensor scale(const OpInputs& in) {
  const double size = static_cast<double>(in.last_size("x"));
  return (in("x") + in("p")) * (0.707106781 * std::sqrt(size));
}

OpOutputs four_functions(const OpInputs& in) {
  return {{"exp", exp(in("x"))},
          {"log", log(in("x"))},
          {"sqrt", sqrt(in("x"))},
          {"rsqrt", rsqrt(in("x"))}};
}

Tensor angle(const OpInputs& in) {
  const NoGradGuard no_grad;
  return atan2(in("m"), in("d"));
}

Operations arithmetic() {
  using In = const OpInputs&;
  const Operation plus = one_output([](In in) { return in("a") + in("b"); });
  return {
      {"add_broadcast_last", plus},
      {"add_broadcast_mid", plus},
      {"mul_broadcast", one_output([](In in) { return in("a") * in("b"); })},
      {"mul_same", one_output([](In in) { return in("a") * in("a"); })},
      {"scale", one_output(scale)},
      {"silu", one_output([](In in) { return silu(in("x")); })},
      {"sigmoid", one_output([](In in) { return sigmoid(in("x")); })},
      {"exp_log_sqrt_rsqrt", four_functions},
      {"atan2", one_output(angle)},
      {"where", one_output([](In in) { return where(in("mask"), in("a"), in("b")); })},
      {"matmul_batched", one_output([](In in) { return matmul(in("a"), in("b")); })},
      {"sum_last", one_output([](In in) { return sum(in("x"), -1); })},
      {"mean_mid", one_output([](In in) { return mean(in("x"), 1, true); })},
      {"sum_all", one_output([](In in) { return sum(in("x")); })},
      {"max_last", one_output([](In in) { return max(in("x"), -1); })},
      {"argmax_last", one_output([](In in) { return argmax(in("x")); })},
  };
}

// --- shapes -------------------------------------------------------------------------------------

Tensor heads_apart(const OpInputs& in) {
  const Shape s = in("x").shape();
  return transpose(reshape(in("x"), {s[0], s[1], 2, s[2] / 2}), 1, 2);
}

Tensor without_prefix(const OpInputs& in) {
  // The prefix length is what the cotangent leaves out.
  const int64_t length = in("x").size(1);
  return slice(in("x"), 1, length - in("cotangent").size(1), length);
}

Operations shapes() {
  using In = const OpInputs&;
  return {
      {"transpose", one_output([](In in) { return matmul(transpose(in("x"), 1, 2), in("w")); })},
      {"reshape_heads", one_output(heads_apart)},
      {"concat_seq", one_output([](In in) {
         return concat({in("a"), in("b")}, 1);
       })},
      {"slice_seq", one_output(without_prefix)},
      {"pad_last", one_output([](In in) {
         return pad(in("x"), -1, 0, in.last_size("cotangent") - in.last_size("x"));
       })},
      {"gather_last", one_output([](In in) { return gather_last(in("x"), in("index")); })},
      {"scatter_add", one_output([](In in) {
         return scatter_add(in("src"), in("index"), in("cotangent").size(0));
       })},
  };
}

// --- optimizers ---------------------------------------------------------------------------------

OpOutputs adam_atan2(const OpInputs& in) {
  OpOutputs out;
  Parameter p = Parameter::make(in("p0").detach(), in.type);
  AdamOptions options;
  options.beta1 = in.params.at("beta1");
  options.beta2 = in.params.at("beta2");
  options.weight_decay = in.params.at("weight_decay");
  Adam adam({{"p", &p}}, options);
  const int64_t steps = in("g").size(0), skip = in.params.value("skip", int64_t{-1});
  for (int64_t i = 0; i < steps; ++i) {
    if (i != skip)
      p.value.set_grad(in("g").detach().slice(0, i, i + 1).clone().view(p.value.shape()));
    adam.step(in.params.at("lr")[i]);
    adam.zero_grad();
    out["p_after" + std::to_string(i)] = p.value.clone();
  }
  out["exp_avg"] = find(adam.state_dict(), "exp_avg.p")->clone();
  out["exp_avg_sq"] = find(adam.state_dict(), "exp_avg_sq.p")->clone();
  return out;
}

OpOutputs sparse_sign_sgd(const OpInputs& in) {
  OpOutputs out;
  const Tensor start = in("table").detach();
  LayerOptions options;
  options.dtype = in.type;
  options.device = device;
  SparseEmbedding table(start.size(0), start.size(1), 0, options);
  table.weights.copy_from(start);
  // The recorded schedule and decay of this fixture, from its description.
  const Json lrs = in.params.contains("lr") ? in.params["lr"] : Json({0.01, 0.02, 0.03});
  const double decay = in.params.value("weight_decay", 0.1);
  for (int64_t i = 0; i < in("g").size(0); ++i) {
    const Tensor g = in("g").detach().slice(0, i, i + 1).clone();
    const Tensor ids = in("ids").slice(0, i, i + 1).clone();
    sign_sgd_step(table, g.view({g.size(1), g.size(2)}), ids.view({ids.size(1)}),
                  lrs.at(static_cast<size_t>(i)), decay);
    out["table_after" + std::to_string(i)] = table.weights.clone();
  }
  return out;
}

// --- the comparison -----------------------------------------------------------------------------

// Runs the operation of a fixture; no outputs where there is no such operation.
OpOutputs run_op(const std::string& op, const OpInputs& in) {
  static const Operations all = [] {
    Operations table = {{"optim_adam_atan2", adam_atan2},
                        {"optim_sparse_signsgd", sparse_sign_sgd}};
    for (Operations group : {layers(), losses(), arithmetic(), shapes()}) table.merge(group);
    return table;
  }();
  if (op.starts_with("attention_")) return {{"y", attend(in)}};
  const auto found = all.find(op);
  return found == all.end() ? OpOutputs{} : found->second(in);
}

// One pass over an operation in one dtype.
class OpCheck {
 public:
  OpCheck(Ledger& ledger, const std::string& op, const Json& entry, const TensorMap& fixture,
          DType type, const std::string& label)
      : ledger_(ledger), op_(op), entry_(entry), fixture_(fixture), type_(type), label_(label) {}

  void run() {
    TensorMap in;
    for (const auto& [name, tensor] : fixture_)
      if (name.starts_with("in.")) {
        Tensor t = is_floating(tensor.dtype()) ? tensor.to(type_).clone() : tensor;
        if (is_floating(t.dtype())) t.set_requires_grad();
        in[name.substr(3)] = t;
      }
    const OpOutputs outputs = run_op(op_, {entry_.at("params"), in, type_});
    if (outputs.empty()) return ledger_.ratio(op_ + " (no such operation)", INFINITY);
    check_outputs(outputs);
    check_gradients(in, outputs);
  }

 private:
  void compare(const std::string& key, const Tensor& got, const Tensor& want) {
    const std::string quantity = op_ + " " + key + label_;
    if (!is_floating(want.dtype())) return ledger_.exact(quantity, got, want);
    if (type_ == DType::f64) {
      // "A float64 implementation should reach 1e-12 relative": to the scale of the tensor.
      double scale = 1e-300;
      for (const double v : want.to_vector()) scale = std::max(scale, std::abs(v));
      return ledger_.close(quantity, got, want, 1e-12 * std::max(scale, 1.0), 1e-12);
    }
    const Json& advised = entry_.at("tolerance_advised");
    const Json tolerance =
        advised.contains(key) ? advised[key] : Json{{"rtol", 2e-5}, {"atol", 2e-6}};
    ledger_.close(quantity, got, want, tolerance.at("atol"), tolerance.at("rtol"));
  }

  void check_outputs(const OpOutputs& outputs) {
    for (const auto& [name, got] : outputs) {
      const auto want = fixture_.find("out64." + name);
      const auto plain = fixture_.find("out." + name);
      if (want != fixture_.end()) compare("out." + name, got, want->second);
      if (plain != fixture_.end()) compare("out." + name, got, plain->second);
      if (want == fixture_.end() && plain == fixture_.end())
        ledger_.ratio(op_ + " out." + name + " (not recorded)", INFINITY);
    }
  }

  void check_gradients(const TensorMap& in, const OpOutputs& outputs) {
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
    for (const auto& [name, want] : fixture_)
      if (name.starts_with("grad64.")) {
        names.push_back(name.substr(7));
        wanted.push_back(in.at(names.back()));
      }
    const Tensors grads = grad(heads, wanted, cotangents);
    for (size_t i = 0; i < names.size(); ++i)
      compare("grad." + names[i], grads[i], fixture_.at("grad64." + names[i]));
  }

  Ledger& ledger_;
  const std::string& op_;
  const Json& entry_;
  const TensorMap& fixture_;
  const DType type_;
  const std::string label_;
};

}  // namespace

void check_ops(Ledger& ledger, const Path& folder, const Json& config) {
  for (const auto& [op, entry] : config.at("ops").items()) {
    const TensorMap fixture = load(folder / (op + ".safetensors"));
    OpCheck(ledger, op, entry, fixture, DType::f32, "").run();
    OpCheck(ledger, op, entry, fixture, DType::f64, " f64").run();
    set_fusion(false);
    OpCheck(ledger, op, entry, fixture, DType::f64, " f64 unfused").run();
    set_fusion(true);
  }
}

}  // namespace hrm::parity

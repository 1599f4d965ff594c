#include "nn/layers.h"

#include <cmath>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "kernels/gemm.h"

namespace hrm {
inline namespace nn {

Tensor initial_weight(const Shape& shape, double std, const LayerOptions& options) {
  const DType master = accumulate_type(options.dtype);
  if (options.random && std == 0)  // a large table, perhaps: only the stream goes on
    *options.random = Random(options.random->seed(), options.random->position() + shape.numel());
  if (!options.random || std == 0) return zeros(shape, master, options.device);
  // Drawn on the host: the same bits on every device.
  return options.random->truncated_normal(shape, std, master).to(options.device);
}

Linear::Linear(int64_t in, int64_t out, bool with_bias, const LayerOptions& options)
    : weight(Parameter::make(
          initial_weight({out, in}, 1 / std::sqrt(static_cast<double>(in)), options),
          options.dtype)) {
  add_parameter("weight", &weight);
  if (!with_bias) return;
  bias =
      Parameter::make(zeros({out}, accumulate_type(options.dtype), options.device), options.dtype);
  add_parameter("bias", &bias);
}

Tensor Linear::forward(const Tensor& x, const Tensor& residual) const {
  return linear(x, weight.value, weight.compute(), bias.value, packed_, residual);
}

Tensor Linear::forward_swiglu(const Tensor& gate_up, const Tensor& residual) const {
  return swiglu_linear(gate_up, weight.value, weight.compute(), packed_, residual);
}

void Linear::prepare() const {
  if (weight.value.device() == Device::cpu) packed_->get(weight.compute());
}

LayerNorm::LayerNorm(int64_t size, const LayerOptions& options, double eps) : eps_(eps) {
  // Read in the type of the masters: no copy.
  const DType master = accumulate_type(options.dtype);
  weight = Parameter::make(full({size}, 1, master, options.device), master);
  bias = Parameter::make(zeros({size}, master, options.device), master);
  add_parameter("weight", &weight);
  add_parameter("bias", &bias);
}

Tensor LayerNorm::forward(const Tensor& x) const {
  return layer_norm(x, weight.value, bias.value, eps_);
}

Conv2d::Conv2d(int64_t in, int64_t out, int64_t size, int64_t stride, int64_t padding,
               bool with_bias, const LayerOptions& options)
    : weight(Parameter::make(
          initial_weight({out, in, size, size},
                         1 / std::sqrt(static_cast<double>(in * size * size)), options),
          options.dtype)),
      stride_(stride),
      padding_(padding) {
  add_parameter("weight", &weight);
  if (!with_bias) return;
  bias =
      Parameter::make(zeros({out}, accumulate_type(options.dtype), options.device), options.dtype);
  add_parameter("bias", &bias);
}

Tensor Conv2d::forward(const Tensor& x) const {
  return conv2d(x, weight.value, bias.value, stride_, padding_, weight.copy);
}

Dropout::Dropout(double p) : Dropout(p, default_random().bits()) {}

Dropout::Dropout(double p, uint64_t seed) : seed_(seed), p_(p) {
  HRM_CHECK(p >= 0 && p < 1, "[dropout] the probability must be in [0, 1), got ", p);
}

Tensor Dropout::forward(const Tensor& x) const {
  if (!is_training() || p_ == 0) return x;
  return dropout(x, {p_, Random(seed_).fork(calls_++).seed()});
}

Embedding::Embedding(int64_t count, int64_t dim, double std, const LayerOptions& options)
    : weight(Parameter::make(initial_weight({count, dim}, std, options), options.dtype)) {
  add_parameter("embedding_weight", &weight);
}

Tensor Embedding::forward(const Tensor& ids, double scale) const {
  return embedding(weight.value, ids, scale, weight.compute());
}

SparseEmbedding::SparseEmbedding(int64_t count, int64_t dim, double std,
                                 const LayerOptions& options)
    : weights(initial_weight({count, dim}, std, options)) {
  add_buffer("weights", &weights);
}

Tensor SparseEmbedding::rows(const Tensor& ids, bool training) const {
  const NoGradGuard no_grad;
  Tensor rows = embedding(weights, ids);
  if (training) rows.set_requires_grad();
  return rows;
}

Attention::Attention(int64_t hidden, int64_t heads, const LayerOptions& options, bool bias)
    : qkv_proj(hidden, 3 * heads * (hidden / heads), bias, options),
      o_proj(heads * (hidden / heads), hidden, bias, options),
      heads_(heads) {
  add_module("qkv_proj", &qkv_proj);
  add_module("o_proj", &o_proj);
}

Tensor Attention::mix(const Tensor& x, const RopeTables* tables, const DropoutStream& drop) const {
  return attention(qkv_proj.forward(x), heads_, tables, drop);
}

Tensor Attention::weights(const Tensor& x, const RopeTables* tables) const {
  return attention_weights(qkv_proj.forward(x), heads_, tables);
}

Tensor Attention::forward(const Tensor& x, const RopeTables* tables, const Tensor& residual) const {
  return o_proj.forward(mix(x, tables), residual);
}

// The projection of x: keys and values of all positions, the query of the first; what lies between
// is not set.
Tensor Attention::project_first(const Tensor& x) const {
  const int64_t batch = x.size(0), seq = x.size(1), hidden = x.size(2);
  const Tensor& weight = qkv_proj.weight.compute().detach();
  const int64_t all = weight.size(0), width = all / 3;
  const Tensor rows = x.contiguous();
  Tensor qkv = empty({batch, seq, all}, x.dtype(), x.device());
  Tensor keys_and_values = qkv.view({batch * seq, all}).slice(1, width, all);
  linear_into(keys_and_values, rows.view({batch * seq, hidden}), weight.slice(0, width, all));
  Tensor queries = qkv.view({batch, seq * all}).slice(1, 0, width);
  linear_into(queries, rows.view({batch, seq * hidden}).slice(1, 0, hidden),
              weight.slice(0, 0, width));
  return qkv;
}

Tensor Attention::forward_first(const Tensor& x, const RopeTables* tables,
                                const Tensor& residual) const {
  if (fusion_enabled() && !recording({x, qkv_proj.weight.value, qkv_proj.bias.value})) {
    // The CPU has the weight packed as a whole.
    const bool apart = x.device() == Device::cuda && !qkv_proj.bias.value.defined();
    const Tensor qkv = apart ? project_first(x) : qkv_proj.forward(x);
    return o_proj.forward(attention_first(qkv, heads_, tables), residual);
  }
  return o_proj.forward(slice(attention(qkv_proj.forward(x), heads_, tables), 1, 0, 1), residual);
}

int64_t swiglu_size(int64_t hidden, double expansion) {
  const double raw = std::nearbyint(expansion * static_cast<double>(hidden) * 2 / 3);
  return (static_cast<int64_t>(raw) + 255) / 256 * 256;
}

SwiGLU::SwiGLU(int64_t hidden, double expansion, const LayerOptions& options)
    : gate_up_proj(hidden, 2 * swiglu_size(hidden, expansion), false, options),
      down_proj(swiglu_size(hidden, expansion), hidden, false, options) {
  add_module("gate_up_proj", &gate_up_proj);
  add_module("down_proj", &down_proj);
}

Tensor SwiGLU::forward(const Tensor& x, const Tensor& residual) const {
  return down_proj.forward_swiglu(gate_up_proj.forward(x), residual);
}

Block::Block(const BlockOptions& block, const LayerOptions& options)
    : mlp(block.hidden, block.expansion, options), eps_(block.eps) {
  if (block.mlp_over_positions)
    add_module("mlp_t", &mlp_t.emplace(block.seq, block.expansion, options));
  else
    add_module("self_attn", &self_attn.emplace(block.hidden, block.heads, options));
  add_module("mlp", &mlp);
}

namespace {
// rms(h + f(h)). The last product of f starts from h where products can; elsewhere the norm adds
// it.
template <class F>
Tensor add_and_norm(const Tensor& h, double eps, const F& f) {
  if (gemm_takes_add(h.device()) && fusion_enabled()) return rms_norm(f(h), eps);
  return add_rms_norm(h, f(Tensor()), eps);
}
}  // namespace

Tensor Block::forward(const Tensor& input, const RopeTables* tables) const {
  Tensor h;
  if (mlp_t) {
    const Tensor across = transpose(input, 1, 2);  // (B, D, S)
    h = transpose(
        add_and_norm(across, eps_, [&](const Tensor& add) { return mlp_t->forward(across, add); }),
        1, 2);
  } else {
    h = add_and_norm(input, eps_,
                     [&](const Tensor& add) { return self_attn->forward(input, tables, add); });
  }
  return add_and_norm(h, eps_, [&](const Tensor& add) { return mlp.forward(h, add); });
}

Tensor Block::forward_first(const Tensor& input, const RopeTables* tables) const {
  if (mlp_t) return slice(forward(input, tables), 1, 0, 1);
  const Tensor h = add_and_norm(slice(input, 1, 0, 1), eps_, [&](const Tensor& add) {
    return self_attn->forward_first(input, tables, add);
  });
  return add_and_norm(h, eps_, [&](const Tensor& add) { return mlp.forward(h, add); });
}

}  // namespace nn
}  // namespace hrm

#include "hrm/model.h"

#include <cmath>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"

namespace hrm {
namespace {

LayerOptions layer_options(const ModelConfig& config, Random* random, Device device) {
  return {config.dtype, device, random};
}

double root(int64_t n) { return std::sqrt(static_cast<double>(n)); }

}  // namespace

ReasoningModule::ReasoningModule(int64_t count, const BlockOptions& block,
                                 const LayerOptions& options) {
  for (int64_t i = 0; i < count; ++i) {
    layers.push_back(std::make_unique<Block>(block, options));
    add_module("layers." + std::to_string(i), layers.back().get());
  }
}

Tensor ReasoningModule::forward(Tensor h, const RopeTables* tables) const {
  for (const auto& layer : layers) h = layer->forward(h, tables);
  return h;
}

Tensor ReasoningModule::forward_first(Tensor h, const RopeTables* tables) const {
  for (size_t i = 0; i + 1 < layers.size(); ++i) h = layers[i]->forward(h, tables);
  return layers.back()->forward_first(h, tables);
}

Model::Model(const ModelConfig& config, Random* random, Device device)
    : embed_tokens(config.vocab_size, config.hidden_size, 1 / root(config.hidden_size),
                   layer_options(config, random, device)),
      lm_head(config.hidden_size, config.vocab_size, false, layer_options(config, random, device)),
      // Starts at q = -5 for every state: halting is learned from "never" (official q_head start).
      q_head(config.hidden_size, 2, true, layer_options(config, nullptr, device)),
      config_(config) {
  config_.validate();
  strategy_ = make_gradient_strategy(config_);
  const LayerOptions options = layer_options(config_, random, device);
  const int64_t hidden = config_.hidden_size;
  if (random) {
    q_head.bias.value.fill(-5);
    q_head.bias.refresh();
  }
  const auto initial = [&] { return initial_weight({hidden}, 1, options).to(config_.dtype); };
  H_init = initial();
  add_buffer("H_init", &H_init);
  if (config_.levels != Levels::single) {
    L_init = initial();
    add_buffer("L_init", &L_init);
  }
  add_module("embed_tokens", &embed_tokens);
  add_module("lm_head", &lm_head);
  add_module("q_head", &q_head);
  if (config_.puzzle_emb_ndim > 0)
    add_module("puzzle_emb", &puzzle_emb.emplace(config_.num_puzzle_identifiers,
                                                 config_.puzzle_emb_ndim, 0.0, options));
  if (config_.pos_encodings == PosEncoding::learned) {
    add_module("embed_pos", &embed_pos.emplace(positions(), hidden, 1 / root(hidden), options));
    position_ids_ = arange(positions()).to(device);
  }
  if (config_.pos_encodings == PosEncoding::rope && !config_.mlp_t)
    rope_ = rope_tables(positions(), hidden / config_.num_heads, config_.rope_theta,
                        accumulate_type(config_.dtype), device);

  const BlockOptions block{
      hidden,       config_.num_heads, positions(), config_.expansion, config_.rms_norm_eps,
      config_.mlp_t};
  if (config_.levels != Levels::shared) {
    H_level = std::make_unique<ReasoningModule>(config_.H_layers, block, options);
    add_module("H_level", H_level.get());
  }
  if (config_.levels != Levels::single) {
    L_level = std::make_unique<ReasoningModule>(config_.L_layers, block, options);
    add_module("L_level", L_level.get());
  }
}

const ReasoningModule& Model::network(Level level) const {
  const bool use_L = config_.levels == Levels::shared || level == Level::L;
  return use_L ? *L_level : *H_level;
}

Tensor Model::input_embeddings(const Tensor& inputs, const Tensor& puzzle_rows) const {
  CHECK(inputs.ndim() == 2 && inputs.size(1) == config_.seq_len,
        "[model] inputs must be [batch, seq] with seq = ", config_.seq_len, ", got ",
        inputs.shape(), ". HINT: the data set and the model must have one length");
  const bool learned = embed_pos.has_value();
  const double scale = root(config_.hidden_size) * (learned ? 0.707106781 : 1.0);
  Tensor x = embed_tokens.forward(inputs, scale);
  if (puzzle_emb) {
    const int64_t batch = inputs.size(0), prefix = config_.prefix();
    const Tensor rows = affine(cast(puzzle_rows, config_.dtype), scale);
    const Tensor padded = pad(rows, 1, 0, prefix * config_.hidden_size - config_.puzzle_emb_ndim);
    x = concat({reshape(padded, {batch, prefix, config_.hidden_size}), x}, 1);
  }
  if (learned) x = x + embed_pos->forward(position_ids_, scale);
  return x;
}

State Model::initial_state(int64_t batch) const {
  const auto repeat = [&](const Tensor& init) {
    return init.expanded({batch, positions(), config_.hidden_size}).clone();
  };
  return {repeat(H_init), L_init.defined() ? repeat(L_init) : Tensor()};
}

Recurrence Model::recurrence() const {
  Recurrence r;
  r.updates = update_list(config_);
  r.apply = [this](Level level, const State& s, const Tensor& x) -> State {
    const RopeTables* tables = rope_ ? &*rope_ : nullptr;
    const ReasoningModule& net = network(level);
    if (config_.levels == Levels::single) return {net.forward(s.z_H + x, tables), {}};
    if (level == Level::L) return {s.z_H, net.forward(s.z_L + (s.z_H + x), tables)};
    return {net.forward(s.z_H + s.z_L, tables), s.z_L};
  };
  r.weights = [this](Level level) {
    Tensors weights;
    if (config_.levels == Levels::shared && level == Level::H) return weights;  // L's own
    if (config_.levels == Levels::single && level == Level::L) return weights;
    for (const auto& [name, p] : network(level).named_parameters()) weights.push_back(p->value);
    return weights;
  };
  return r;
}

State Model::segment(const State& state, const Tensor& x) const {
  prepare();
  const Recurrence r = recurrence();
  return grad_enabled() ? strategy_->run(r, state, x) : r.advance(state, x, r.updates.size());
}

QValues Model::q_values(const Tensor& z_H) const {
  const Tensor q = cast(q_head.forward(select(z_H, 1, 0)), accumulate_type(config_.dtype));
  return {select(q, 1, 0), select(q, 1, 1)};
}

QValues Model::next_q_values(const State& state, const Tensor& x) const {
  const NoGradGuard no_grad;
  prepare();
  return q_values(recurrence().advance_to(state, x, [&](const State& s, const Tensor& input) {
    const Tensor& injection = config_.levels == Levels::single ? input : s.z_L;
    return network(Level::H).forward_first(s.z_H + injection, rope_ ? &*rope_ : nullptr);
  }));
}

Outputs Model::heads(const Tensor& z_H) const {
  return {lm_head.forward(slice(z_H, 1, config_.prefix(), positions())), q_values(z_H)};
}

}  // namespace hrm

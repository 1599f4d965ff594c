#include "hrm/model/model.h"

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

Tensor ReasoningModule::attention_weights(Tensor h, const RopeTables* tables) const {
  Tensors weights;
  for (const auto& layer : layers) {
    weights.push_back(layer->self_attn->weights(h, tables));
    h = layer->forward(h, tables);
  }
  return stack(weights, 1);
}

namespace {
// Of a board's cells behind so many other positions.
RopeTables rotary_tables(const ModelConfig& c, int64_t prefix, Device device) {
  const int64_t head_dim = c.hidden_size / c.num_heads;
  const DType type = accumulate_type(c.dtype);
  if (c.rope == Rope::grid)
    return grid_rope_tables(prefix, c.side(), c.side(), head_dim, c.rope_theta, type, device);
  return rope_tables(prefix + c.seq_len, head_dim, c.rope_theta, type, device);
}
}  // namespace

ContextEncoder::ContextEncoder(const ModelConfig& config, const BlockOptions& block_options,
                               const LayerOptions& options)
    : input_tokens(config.vocab_size, config.hidden_size, 1, options),
      output_tokens(config.vocab_size, config.hidden_size, 1, options),
      block(block_options, options),
      to_prefix(config.hidden_size, config.puzzle_emb_ndim, false, options),
      pairs_(config.context_pairs),
      seq_(config.seq_len),
      rope_(rotary_tables(config, 0, options.device)) {
  add_module("input_tokens", &input_tokens);
  add_module("output_tokens", &output_tokens);
  add_module("block", &block);
  add_module("to_prefix", &to_prefix);
}

Tensor ContextEncoder::forward(const Tensor& context) const {
  const int64_t batch = context.size(0);
  const Tensor grids = context.contiguous().view({batch * pairs_, 2, seq_});
  const auto ids = [&](int64_t which) {
    return grids.slice(1, which, which + 1).contiguous().view({batch * pairs_, seq_});
  };
  const Tensor cells = input_tokens.forward(ids(0), 1) + output_tokens.forward(ids(1), 1);
  const Tensor pairs = mean(block.forward(cells, &rope_), 1);  // (B * K, D)
  return to_prefix.forward(mean(reshape(pairs, {batch, pairs_, pairs.size(1)}), 1));
}

namespace {

// Segments with a signal of their own.
constexpr int64_t kStepSignals = 1024;

// Where q_halt and q_continue start, for every state. q_learning: halting is learned from "never"
// (official q_head start); act: a puzzle takes two segments; ponder: halting as in the prior, and
// q_continue is an estimated loss.
std::pair<double, double> first_q_values(const ModelConfig& config) {
  switch (config.halting) {
    case Halting::act:
      return {1, 1};
    case Halting::ponder:
      return {std::log(config.ponder_prior) - std::log1p(-config.ponder_prior), 0};
    default:
      return {-5, -5};
  }
}

// Row t - 1 for number t: sin(t / 10000^(2 i / hidden)) and cos of the same, side by side
// (Vaswani et al., arXiv 1706.03762, section 3.5).
Tensor sinusoids(int64_t rows, int64_t hidden) {
  Tensor table = empty({rows, hidden});
  for (int64_t t = 1; t <= rows; ++t)
    for (int64_t i = 0; i < hidden; ++i) {
      const auto pair = static_cast<double>(i / 2 * 2);
      const double angle =
          static_cast<double>(t) / std::pow(10000, pair / static_cast<double>(hidden));
      table.data<float>()[(t - 1) * hidden + i] =
          static_cast<float>(i % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  return table;
}

}  // namespace

Model::Model(const ModelConfig& config, Random* random, Device device)
    : embed_tokens(config.vocab_size, config.hidden_size, 1 / root(config.hidden_size),
                   layer_options(config, random, device)),
      lm_head(config.hidden_size, config.vocab_size, false, layer_options(config, random, device)),
      q_head(config.hidden_size, 2, true, layer_options(config, nullptr, device)),
      config_(config),
      cycles_{config.H_cycles, config.L_cycles} {
  config_.validate();
  strategy_ = make_gradient_strategy(config_);
  const LayerOptions options = layer_options(config_, random, device);
  const int64_t hidden = config_.hidden_size;
  if (random) {
    const auto [halt, go_on] = first_q_values(config_);
    q_head.bias.value.copy_from(from_vector<double>({halt, go_on}, {2}));
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
  if (config_.puzzle_emb_ndim > 0 && config_.conditioning != Conditioning::context)
    add_module("puzzle_emb", &puzzle_emb.emplace(config_.num_puzzle_identifiers,
                                                 config_.puzzle_emb_ndim, 0.0, options));
  if (config_.conditioning == Conditioning::task) {
    const double std = 1 / root(10 * hidden);  // ten of them are summed
    add_module("dihedral_emb", &dihedral_emb.emplace(8, config_.puzzle_emb_ndim, std, options));
    add_module("colour_emb", &colour_emb.emplace(81, config_.puzzle_emb_ndim, std, options));
  }
  if (has_learned_positions(config_.pos_encodings)) {
    add_module("embed_pos", &embed_pos.emplace(positions(), hidden, 1 / root(hidden), options));
    position_ids_ = arange(positions()).to(device);
  }
  if (has_rope(config_.pos_encodings) && !config_.mlp_t)
    rope_ = rotary_tables(config_, config_.prefix(), device);

  if (config_.step_signal)
    step_signals_ = sinusoids(kStepSignals, hidden).to(config_.dtype).to(device);

  const BlockOptions block{
      hidden,       config_.num_heads, positions(), config_.expansion, config_.rms_norm_eps,
      config_.mlp_t};
  if (config_.conditioning == Conditioning::context) {
    BlockOptions over_cells = block;
    over_cells.seq = config_.seq_len;
    over_cells.mlp_over_positions = false;
    context = std::make_unique<ContextEncoder>(config_, over_cells, options);
    add_module("context", context.get());
  }
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

Tensor Model::network_input(Level level, const State& s, const Tensor& x) const {
  if (config_.levels == Levels::single) return s.z_H + x;
  return level == Level::L ? add3(s.z_L, s.z_H, x) : s.z_H + s.z_L;
}

// [batch, puzzle_emb_ndim], of the size of token embeddings before they are scaled.
Tensor Model::puzzle_embedding(const Tensor& inputs, const Tensor& puzzle_rows) const {
  const int64_t seq = config_.seq_len, all = config_.input_len();
  const auto extra = [&](int64_t begin, int64_t end) {
    return inputs.slice(1, seq + begin, seq + end).contiguous();
  };
  if (context) return affine(context->forward(extra(0, all - seq)), 1 / root(config_.hidden_size));
  const Tensor rows = cast(puzzle_rows, config_.dtype);
  if (!dihedral_emb) return rows;
  const Tensor turned = dihedral_emb->forward(extra(0, 1), 1),
               mapped = colour_emb->forward(extra(1, 10), 1);
  return rows + sum(concat({turned, mapped}, 1), 1);
}

Tensor Model::input_embeddings(const Tensor& inputs, const Tensor& puzzle_rows) const {
  HRM_CHECK(inputs.ndim() == 2 && inputs.size(1) == config_.input_len(),
            "[model] inputs must be [batch, seq] with seq = ", config_.input_len(), ", got ",
            inputs.shape(), ". HINT: the data set and the model must have one length");
  const bool learned = embed_pos.has_value();
  const double scale = root(config_.hidden_size) * (learned ? 0.707106781 : 1.0);
  const bool extended = config_.input_len() > config_.seq_len;
  Tensor x = embed_tokens.forward(
      extended ? inputs.slice(1, 0, config_.seq_len).contiguous() : inputs, scale);
  if (config_.prefix() > 0) {
    const int64_t batch = inputs.size(0), prefix = config_.prefix();
    const Tensor rows = affine(puzzle_embedding(inputs, puzzle_rows), scale);
    const Tensor padded = pad(rows, 1, 0, prefix * config_.hidden_size - config_.puzzle_emb_ndim);
    x = concat({reshape(padded, {batch, prefix, config_.hidden_size}), x}, 1);
  }
  if (learned) x = x + learned_positions();
  return x;
}

Tensor Model::learned_positions() const {
  return embed_pos->forward(position_ids_, root(config_.hidden_size) * 0.707106781);
}

Tensor Model::segment_input(const Tensor& x, const Tensor& segments, int32_t ahead) const {
  if (!config_.input_once && !config_.step_signal) return x;
  Tensor input = x;
  const int64_t batch = segments.size(0);
  const DType wide = accumulate_type(x.dtype());
  const Tensor number = affine(segments.to(wide), 1, ahead);
  if (config_.input_once) {
    const Tensor later = embed_pos ? learned_positions() : full({}, 0, x.dtype(), x.device());
    input = where(compare(CompareOp::gt, number, 1).view({batch, 1, 1}), later, input);
  }
  if (config_.step_signal) {
    // The last signal stands for all later ones.
    const Tensor last = full({}, -static_cast<double>(kStepSignals), wide, x.device());
    const Tensor row = affine(maximum(-number, last), -1, -1).to(DType::i32);
    input = input + reshape(embedding(step_signals_, row), {batch, 1, config_.hidden_size});
  }
  return input;
}

State Model::initial_state(int64_t batch) const {
  const auto repeat = [&](const Tensor& init) {
    return init.expand({batch, positions(), config_.hidden_size}).clone();
  };
  return {repeat(H_init), L_init.defined() ? repeat(L_init) : Tensor()};
}

void Model::set_cycles(const Cycles& cycles) {
  if (cycles == cycles_) return;
  cycles_ = cycles;
  // A rule may count in cycles.
  ModelConfig shown = config_;
  shown.H_cycles = cycles.H;
  shown.L_cycles = cycles.L;
  strategy_ = make_gradient_strategy(shown);
}

Recurrence Model::recurrence() const {
  Recurrence r;
  r.updates = update_list(config_.levels, cycles_);
  r.apply = [this](Level level, const State& s, const Tensor& x) -> State {
    const Tensor z = network(level).forward(network_input(level, s, x), rope_ ? &*rope_ : nullptr);
    return level == Level::L ? State{s.z_H, z} : State{z, s.z_L};
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

Tensor Model::halt_logits(const Tensor& z_H) const {
  const Tensor cells = slice(z_H, 1, config_.prefix(), positions());
  return select(cast(q_head.forward(cells), accumulate_type(config_.dtype)), 2, 0);
}

Tensor Model::attention_weights(Level level, const State& state, const Tensor& x) const {
  HRM_CHECK(!config_.mlp_t, "[model] this model has an MLP over positions and no attention");
  const NoGradGuard no_grad;
  return network(level).attention_weights(network_input(level, state, x),
                                          rope_ ? &*rope_ : nullptr);
}

QValues Model::next_q_values(const State& state, const Tensor& x) const {
  const NoGradGuard no_grad;
  prepare();
  return q_values(recurrence().advance_to(state, x, [&](const State& s, const Tensor& input) {
    const Tensor& injection = config_.levels == Levels::single ? input : s.z_L;
    return network(Level::H).forward_first(s.z_H + injection, rope_ ? &*rope_ : nullptr);
  }));
}

void Model::replace_puzzle_rows(const Tensor& rows) {
  HRM_CHECK(puzzle_emb, "[model] this model has no puzzle table");
  HRM_CHECK(rows.ndim() == 2 && rows.size(1) == config_.puzzle_emb_ndim,
            "[model] puzzle rows must be [puzzles, ", config_.puzzle_emb_ndim, "], got ",
            rows.shape());
  puzzle_emb->weights = rows.to(H_init.device());
  config_.num_puzzle_identifiers = rows.size(0);
}

Outputs Model::heads(const Tensor& z_H) const {
  return {lm_head.forward(slice(z_H, 1, config_.prefix(), positions())), q_values(z_H)};
}

}  // namespace hrm

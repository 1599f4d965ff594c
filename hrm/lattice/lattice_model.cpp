#include "hrm/lattice/lattice_model.h"

#include <algorithm>
#include <cmath>
#include <exception>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"

namespace hrm {
namespace {

// Positions of a slice of predict(): few enough that the activations of a layer stay in a
// second-level cache.
constexpr int64_t kSlicePositions = 256;
// Of learned positions: as large as the states that they are added to. From the published 0.02,
// cells of a box find each other late.
constexpr double kPositionStd = 1;

LayerOptions options_of(const ModelConfig& m, Random* random, Device device) {
  return {m.dtype, device, random};
}

// x + dropout(layer(inner)): the product adds x itself where nothing is dropped.
Tensor add_dropped(const Tensor& x, const Linear& layer, const Tensor& inner, DropoutStream& drop) {
  if (drop.p == 0) return layer.forward(inner, x);
  return dropout(layer.forward(inner), drop.next(), x);
}

int64_t inner_size(int64_t size, double expansion) {
  return std::max<int64_t>(1, std::lround(expansion * static_cast<double>(size)));
}

}  // namespace

GeluMlp::GeluMlp(int64_t size, double expansion, const LayerOptions& options)
    : up_proj(size, inner_size(size, expansion), true, options),
      down_proj(inner_size(size, expansion), size, true, options) {
  add_module("up_proj", &up_proj);
  add_module("down_proj", &down_proj);
}

Tensor GeluMlp::forward(const Tensor& x, const Tensor& residual, DropoutStream& drop) const {
  Tensor inner = gelu(up_proj.forward(x));
  if (drop.p > 0) inner = dropout(inner, drop.next());
  return add_dropped(residual, down_proj, inner, drop);
}

PreNormLayer::PreNormLayer(const ModelConfig& m, const LayerOptions& options)
    : attention_norm(m.hidden_size, options),
      self_attn(m.mlp_t ? nullptr
                        : std::make_unique<Attention>(m.hidden_size, m.num_heads, options, true)),
      mlp_t(m.mlp_t ? std::make_unique<GeluMlp>(1 + m.seq_len, m.expansion, options) : nullptr),
      mlp_norm(m.hidden_size, options),
      mlp(m.hidden_size, m.expansion, options) {
  add_module("attention_norm", &attention_norm);
  if (self_attn) add_module("self_attn", self_attn.get());
  if (mlp_t) add_module("mlp_t", mlp_t.get());
  add_module("mlp_norm", &mlp_norm);
  add_module("up_proj", &mlp.up_proj);
  add_module("down_proj", &mlp.down_proj);
}

Tensor PreNormLayer::forward(const Tensor& x, const RopeTables* tables, DropoutStream& drop) const {
  const Tensor normed = attention_norm.forward(x);
  Tensor h;
  if (mlp_t) {
    const Tensor across = transpose(x, 1, 2);  // [rows, hidden, positions]
    h = transpose(mlp_t->forward(transpose(normed, 1, 2), across, drop), 1, 2);
  } else {
    h = add_dropped(x, self_attn->o_proj, self_attn->mix(normed, tables, drop.next()), drop);
  }
  return mlp.forward(mlp_norm.forward(h), h, drop);
}

LatticeModel::LatticeModel(const Config& config, int64_t channels, Random* random, Device device)
    : embed(channels, config.model.hidden_size, true, options_of(config.model, random, device)),
      cls(1, config.model.hidden_size, 0.02, options_of(config.model, random, device)),
      loop_norm(config.model.hidden_size, options_of(config.model, random, device)),
      keep_head(config.model.hidden_size, channels, true, options_of(config.model, random, device)),
      symbol_head(config.model.hidden_size, channels, true,
                  options_of(config.model, random, device)),
      conflict_head(config.model.hidden_size, 1, true, options_of(config.model, random, device)),
      loops_(config.lattice.loops),
      channels_(channels),
      conflict_from_(config.lattice.conflict_head),
      dtype_(config.model.dtype) {
  const ModelConfig& m = config.model;
  const LayerOptions options = options_of(m, random, device);
  const int64_t side = m.side();
  add_module("embed", &embed);
  add_module("cls", &cls);
  if (has_learned_positions(m.pos_encodings)) {
    add_module("row_emb", &row_emb.emplace(side, m.hidden_size, kPositionStd, options));
    add_module("col_emb", &col_emb.emplace(side, m.hidden_size, kPositionStd, options));
    std::vector<int32_t> rows, cols;
    for (int64_t cell = 0; cell < m.seq_len; ++cell) {
      rows.push_back(static_cast<int32_t>(cell / side));
      cols.push_back(static_cast<int32_t>(cell % side));
    }
    row_ids_ = from_vector(rows, {m.seq_len}).to(device);
    col_ids_ = from_vector(cols, {m.seq_len}).to(device);
  }
  const int64_t head_dim = m.hidden_size / m.num_heads;
  const DType angles = accumulate_type(m.dtype);
  if (has_rope(m.pos_encodings) && !m.mlp_t)
    rope_ = m.rope == Rope::grid
                ? grid_rope_tables(1, side, side, head_dim, m.rope_theta, angles, device)
                : rope_tables(1 + m.seq_len, head_dim, m.rope_theta, angles, device);
  for (int64_t i = 0; i < config.lattice.layers; ++i) {
    layers.push_back(std::make_unique<PreNormLayer>(m, options));
    add_module("layers." + std::to_string(i), layers.back().get());
  }
  add_module("loop_norm", &loop_norm);
  add_module("keep_head", &keep_head);
  add_module("symbol_head", &symbol_head);
  add_module("conflict_head", &conflict_head);
}

// What is added to the state in every loop, [1 + cells, hidden]; undefined without learned
// positions.
Tensor LatticeModel::positions() const {
  if (!row_emb) return {};
  const Tensor cells = row_emb->forward(row_ids_, 1) + col_emb->forward(col_ids_, 1);
  return pad(cells, 0, 1, 0);
}

// visit(state) after every loop: [rows, 1 + cells, hidden].
template <class Visit>
void LatticeModel::run_loops(const Tensor& alive, DropoutStream& drop, const Visit& visit) const {
  const int64_t rows = alive.size(0), cells = alive.size(1);
  const Tensor h0 = embed.forward(alive.to(dtype_));
  const Tensor first = cls.forward(zeros({rows, 1}, DType::i32, device()), 1);
  const Tensor position = positions();
  Tensor h = h0;
  for (int64_t i = 0; i < loops_; ++i) {
    if (i > 0) h = h + h0;
    const Tensor state = concat({first, h}, 1);
    Tensor out = position.defined() ? state + position : state;
    for (const auto& layer : layers) out = layer->forward(out, rope_ ? &*rope_ : nullptr, drop);
    const Tensor next = loop_norm.forward(state + out);
    visit(i, next);
    h = slice(next, 1, 1, 1 + cells);
  }
}

// [rows] of the states [rows, 1 + cells, hidden].
Tensor LatticeModel::conflict(const Tensor& states) const {
  if (conflict_from_ == ConflictHead::max)
    return max(select(conflict_head.forward(states), 2, 0), 1);
  return select(conflict_head.forward(select(states, 1, 0)), 1, 0);
}

LatticeHeads LatticeModel::heads(const Tensor& states) const {
  const DType wide = accumulate_type(dtype_);
  const Tensor cells = slice(states, 1, 1, states.size(1));
  return {cast(keep_head.forward(cells), wide), cast(symbol_head.forward(cells), wide),
          cast(conflict(states), wide)};
}

LatticeHeads LatticeModel::forward(const Tensor& alive, DropoutStream drop) const {
  Tensors states;
  run_loops(alive, drop, [&](int64_t, const Tensor& state) { states.push_back(state); });
  return heads(concat(states, 0));
}

LatticeHeads LatticeModel::predict(const Tensor& alive, const DropoutStream& drop) const {
  const NoGradGuard no_grad;
  prepare();
  const auto last = [&](const Tensor& rows, DropoutStream own) {
    LatticeHeads result;
    run_loops(rows, own, [&](int64_t i, const Tensor& state) {
      if (i + 1 == loops_) result = heads(state);
    });
    return result;
  };
  if (device() != Device::cpu) return last(alive, drop);

  const int64_t rows = alive.size(0), cells = alive.size(1);
  const int64_t slice_rows = std::max<int64_t>(1, kSlicePositions / (1 + cells));
  const int64_t slices = (rows + slice_rows - 1) / slice_rows;
  const DType wide = accumulate_type(dtype_);
  LatticeHeads all = {empty({rows, cells, channels_}, wide), empty({rows, cells, channels_}, wide),
                      empty({rows}, wide)};
  std::exception_ptr error;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < slices; ++i) {
    try {
      const NoGradGuard no_grad_here;  // the mode belongs to a thread
      const int64_t begin = i * slice_rows, end = std::min(rows, begin + slice_rows);
      DropoutStream own = drop;
      own.seed = Random(drop.seed).fork(static_cast<uint64_t>(i)).seed();
      const LatticeHeads part = last(alive.slice(0, begin, end), own);
      all.keep.slice(0, begin, end).copy_from(part.keep);
      all.symbol.slice(0, begin, end).copy_from(part.symbol);
      all.conflict.slice(0, begin, end).copy_from(part.conflict);
    } catch (...) {
#pragma omp critical(hrm_lattice_error)
      error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
  return all;
}

}  // namespace hrm

// The Hierarchical Reasoning Model (arXiv 2506.21734), and with other options of the same code TRM
// (2510.04871) and the plain Transformer. Parameter names are those of the official checkpoints.
//
//     const Model model(preset("sudoku4").model, &random);
//     const Tensor x = model.input_embeddings(inputs, model.puzzle_emb->rows(puzzle_ids, false));
//     const State end = model.segment(model.initial_state(inputs.size(0)), x);
//     const Tensor logits = model.heads(end.z_H).logits;   // [batch, seq, vocab]
#pragma once

#include "hrm/model/gradient_strategy.h"
#include "nn/layers.h"

namespace hrm {

// A stack of blocks: one level of the hierarchy.
class ReasoningModule : public Module {
 public:
  ReasoningModule(int64_t layers, const BlockOptions& block, const LayerOptions& options);
  Tensor forward(Tensor h, const RopeTables* tables) const;
  Tensor forward_first(Tensor h, const RopeTables* tables) const;  // position 0 of it
  // What each position takes from which, [batch, layers, heads, seq, seq]. Of attention alone.
  Tensor attention_weights(Tensor h, const RopeTables* tables) const;

  std::vector<std::unique_ptr<Block>> layers;
};

// Conditioning by demonstrations: each pair of grids is a sequence of cells with an embedding of
// the input token and one of the output token, goes through a block, and is averaged over its
// cells; the pairs' mean becomes a puzzle embedding.
class ContextEncoder : public Module {
 public:
  ContextEncoder(const ModelConfig& config, const BlockOptions& block, const LayerOptions& options);
  // i32 [batch, 2 * pairs * seq] -> [batch, puzzle_emb_ndim].
  Tensor forward(const Tensor& context) const;

  Embedding input_tokens, output_tokens;
  Block block;
  Linear to_prefix;

 private:
  int64_t pairs_, seq_;
  RopeTables rope_;
};

// What the heads read off z_H.
struct QValues {
  Tensor halt, continue_;  // [batch] logits, f32 (f64 in f64 models)
};
struct Outputs {
  Tensor logits;  // [batch, seq, vocab], dtype of the model
  QValues q;
};

class Model : public Module {
 public:
  // Weights are drawn from `random`; with a null pointer they are zeros, to be loaded.
  Model(const ModelConfig& config, Random* random, Device device = Device::cpu);

  const ModelConfig& config() const { return config_; }
  // Positions of a state: prefix + seq_len.
  int64_t positions() const { return config_.prefix() + config_.seq_len; }

  // x = sqrt(hidden) * [puzzle prefix | token embedding] (with learned positions: sqrt(hidden / 2)
  // * (embedding + position)). inputs: i32 [batch, input_len]; puzzle_rows: [batch,
  // puzzle_emb_ndim] from SparseEmbedding::rows, undefined without a puzzle table. -> [batch,
  // positions, hidden].
  Tensor input_embeddings(const Tensor& inputs, const Tensor& puzzle_rows) const;
  // What goes into the segment of each row, from x of input_embeddings and i32 [batch] segments,
  // counted from 1 (`ahead` more): x itself, unless step_signal or input_once is set.
  Tensor segment_input(const Tensor& x, const Tensor& segments, int32_t ahead = 0) const;
  // H_init and L_init repeated over rows and positions.
  State initial_state(int64_t batch) const;
  // A segment runs the cycles of the configuration, unless others are set.
  void set_cycles(const Cycles& cycles);
  Recurrence recurrence() const;
  // One segment under the strategy of the configuration.
  State segment(const State& state, const Tensor& x) const;
  QValues q_values(const Tensor& z_H) const;  // from position 0
  // q_halt of every cell, [batch, seq], for act_per_position.
  Tensor halt_logits(const Tensor& z_H) const;
  // What each position takes from which in the next update of a level, without gradient: [batch,
  // layers, heads, positions, positions]. An Error for a model with an MLP over positions.
  Tensor attention_weights(Level level, const State& state, const Tensor& x) const;
  // q_values after one more segment, without gradient. What they do not depend on is left out: in
  // the last layer, all that follows attention is computed for one position.
  QValues next_q_values(const State& state, const Tensor& x) const;
  Outputs heads(const Tensor& z_H) const;
  // Other rows for the puzzle table, [puzzles, puzzle_emb_ndim].
  void replace_puzzle_rows(const Tensor& rows);

  Tensor H_init, L_init;  // [hidden], never trained
  Embedding embed_tokens;
  Linear lm_head, q_head;
  std::optional<SparseEmbedding> puzzle_emb;  // unless conditioned by context
  // Conditioning by task: [8, puzzle_emb_ndim] and [81, puzzle_emb_ndim] (see extra_inputs).
  std::optional<Embedding> dihedral_emb, colour_emb;
  std::unique_ptr<ContextEncoder> context;
  std::optional<Embedding> embed_pos;
  std::unique_ptr<ReasoningModule> H_level,
      L_level;  // levels shared: L_level only; single: H_level

 private:
  const ReasoningModule& network(Level level) const;
  Tensor network_input(Level level, const State& state, const Tensor& x) const;
  Tensor puzzle_embedding(const Tensor& inputs, const Tensor& puzzle_rows) const;
  Tensor learned_positions() const;

  ModelConfig config_;
  Cycles cycles_;
  std::optional<RopeTables> rope_;
  Tensor position_ids_;  // 0, 1, 2, ... for learned positions
  Tensor step_signals_;  // [kStepSignals, hidden]: of segment number 1, 2, ...
  std::unique_ptr<GradientStrategy> strategy_;
};

// Prefix of every name in an official checkpoint.
inline constexpr const char* kOfficialPrefix = "model.inner.";

}  // namespace hrm

// Every setting of a run: what the model is, how it is trained, on what. One visitor lists the
// fields, and the command line, config.json and the tests are all made from that list.
#pragma once

#include <string>
#include <vector>

#include "hrm/support/json.h"
#include "kernels/act.h"
#include "kernels/loss.h"
#include "nn/optim/adam.h"

namespace hrm {

// Which networks the recurrence applies: HRM's H and L; TRM's one for both roles; the plain
// Transformer, one application z_H = H(z_H + x) per segment.
enum class Levels { two, shared, single };
enum class PosEncoding { rope, learned, none };
// reference: a halted slot b takes row b of the incoming batch and the other incoming rows are
// dropped (official); only_halted: rows are drawn for the free slots alone.
enum class Refill { reference, only_halted };
// What tells the model which puzzle it sees. variant: a row of the puzzle table for each variant of
// each task (official); task: a row for each task, an embedding of the dihedral transform and one
// of each colour's new colour, so that other variants can be asked for; context: an encoding of the
// task's demonstrations; blank: nothing (row 0 for all).
enum class Conditioning { variant, task, context, blank };

// Names of enum values in files and on the command line, in order of value.
template <class E>
struct EnumNames;
#define HRM_ENUM(E, ...)                                                \
  template <>                                                           \
  struct EnumNames<E> {                                                 \
    static inline const std::vector<std::string> names = {__VA_ARGS__}; \
  };
HRM_ENUM(Levels, "two", "shared", "single")
HRM_ENUM(PosEncoding, "rope", "learned", "none")
HRM_ENUM(Refill, "reference", "only_halted")
HRM_ENUM(Conditioning, "variant", "task", "context", "blank")
HRM_ENUM(QHead, "halt_and_continue", "halt_only")
HRM_ENUM(LossType, "softmax_cross_entropy", "stablemax_cross_entropy")
HRM_ENUM(OptimizerKind, "adam_atan2", "adamw")
HRM_ENUM(DType, "f32", "bf16", "f64", "i32", "u8")

template <class E>
const std::string& to_string(E value) requires requires {
  EnumNames<E>::names;
}
{ return EnumNames<E>::names[static_cast<size_t>(value)]; }

// Tokens behind the puzzle's in each input row, which say what it is conditioned by: `task`: the
// dihedral transform, and 9 (c - 1) + (colour that c became - 1) for c = 1..9; `context`: input and
// output tokens of the demonstrations.
int64_t extra_inputs(Conditioning conditioning, int64_t context_pairs, int64_t seq_len);

struct ModelConfig {
  // From the data set.
  int64_t seq_len = 81;
  int64_t vocab_size = 11;
  int64_t num_puzzle_identifiers = 1;
  // Architecture.
  Levels levels = Levels::two;
  int64_t hidden_size = 512;
  int64_t num_heads = 8;
  int64_t H_layers = 4;
  int64_t L_layers = 4;
  int64_t H_cycles = 2;
  int64_t L_cycles = 2;
  double expansion = 4;
  PosEncoding pos_encodings = PosEncoding::rope;
  bool mlp_t = false;
  int64_t puzzle_emb_ndim = 512;
  int64_t puzzle_emb_len = 0;
  Conditioning conditioning = Conditioning::variant;
  int64_t context_pairs = 3;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000;
  DType dtype = DType::f32;
  // Gradient, loss and halting.
  std::string gradient = "one_step";
  LossType loss = LossType::stablemax_cross_entropy;
  int64_t halt_max_steps = 16;
  bool act = true;
  double halt_exploration_prob = 0.1;
  QHead q_head = QHead::halt_and_continue;
  bool continue_loss = true;

  // Tokens of an input row: seq_len, and what conditions it (see extra_inputs).
  int64_t input_len() const;
  // Positions of the puzzle prefix: puzzle_emb_len, or ceil(puzzle_emb_ndim / hidden_size).
  int64_t prefix() const;
  // Throws one line for the first setting that is out of range or does not fit another.
  void validate() const;
  template <class Visit>
  void fields(Visit&& f) {
    f("seq_len", seq_len, "tokens per puzzle (from the data set)");
    f("vocab_size", vocab_size, "tokens (from the data set)");
    f("num_puzzle_identifiers", num_puzzle_identifiers, "rows of the puzzle table (data set)");
    f("levels", levels,
      "two: H and L networks (HRM); shared: one for both (TRM); single: Transformer");
    f("hidden_size", hidden_size, "width of the states");
    f("num_heads", num_heads, "attention heads");
    f("H_layers", H_layers, "blocks of the H network (of the one network if levels is single)");
    f("L_layers", L_layers, "blocks of the L network (of the one network if levels is shared)");
    f("H_cycles", H_cycles, "H updates per segment");
    f("L_cycles", L_cycles, "L updates per H update");
    f("expansion", expansion, "SwiGLU size: expansion * hidden * 2/3, up to a multiple of 256");
    f("pos_encodings", pos_encodings, "rope, learned or none");
    f("mlp_t", mlp_t, "an MLP over positions instead of attention (TRM)");
    f("puzzle_emb_ndim", puzzle_emb_ndim, "size of a puzzle embedding, 0 for none");
    f("puzzle_emb_len", puzzle_emb_len, "prefix positions, 0: just enough for puzzle_emb_ndim");
    f("conditioning", conditioning, "the prefix: variant, task, context or blank");
    f("context_pairs", context_pairs, "demonstrations a row with conditioning=context sees");
    f("rms_norm_eps", rms_norm_eps, "epsilon of the RMS norms");
    f("rope_theta", rope_theta, "base of the rotary angles");
    f("dtype", dtype, "f32, bf16 or f64");
    f("gradient", gradient, "rule for the recurrence: one_step, last_k:K, neumann:K, ... (docs)");
    f("loss", loss, "stablemax_cross_entropy or softmax_cross_entropy");
    f("halt_max_steps", halt_max_steps, "most segments per puzzle");
    f("act", act, "training: a puzzle may halt sooner; false: always halt_max_steps segments");
    f("halt_exploration_prob", halt_exploration_prob, "share of rows with a drawn minimum");
    f("q_head", q_head, "halt_and_continue: q_halt > q_continue; halt_only: q_halt > 0 (TRM)");
    f("continue_loss", continue_loss, "train q_continue on a second segment (HRM)");
  }
};

struct TrainConfig {
  int64_t batch_size = 64;
  int64_t micro_batches = 1;
  int64_t unroll_segments = 1;
  int64_t total_steps = 1000;
  OptimizerKind optimizer = OptimizerKind::adam_atan2;
  double lr = 1e-4;
  double lr_min_ratio = 1;
  int64_t lr_warmup_steps = 2000;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double weight_decay = 0.1;
  double puzzle_emb_lr = 1e-2;
  double puzzle_emb_weight_decay = 0.1;
  double clip_norm = 0;
  double ema = 0;
  Refill refill = Refill::reference;
  bool augment = true;
  int64_t seed = 0;
  int64_t eval_every = 0;
  int64_t eval_puzzles = 256;
  int64_t final_eval_puzzles = -1;
  int64_t early_stop = 0;
  int64_t checkpoint_every = 200;
  int64_t keep_checkpoints = 2;

  // Slots that run a segment in a step, those of every segment counted: the samples of a step.
  int64_t step_rows() const { return batch_size * unroll_segments; }
  void validate() const;
  template <class Visit>
  void fields(Visit&& f) {
    f("batch_size", batch_size, "puzzles per step");
    f("micro_batches", micro_batches, "slices a step is computed in (gradients add up)");
    f("unroll_segments", unroll_segments, "segments of a step, not detached; their mean loss");
    f("total_steps", total_steps, "steps of the whole run");
    f("optimizer", optimizer, "adam_atan2 or adamw");
    f("lr", lr, "learning rate");
    f("lr_min_ratio", lr_min_ratio, "the cosine ends at lr * this; 1: constant");
    f("lr_warmup_steps", lr_warmup_steps, "steps of linear warm-up");
    f("beta1", beta1, "decay of the first moment");
    f("beta2", beta2, "decay of the second moment");
    f("weight_decay", weight_decay, "decoupled weight decay");
    f("puzzle_emb_lr", puzzle_emb_lr, "learning rate of the puzzle table");
    f("puzzle_emb_weight_decay", puzzle_emb_weight_decay, "weight decay of the used puzzle rows");
    f("clip_norm", clip_norm, "largest gradient norm, 0: no clipping");
    f("ema", ema, "rate of the averaged weights used in evaluation, 0: none");
    f("refill", refill, "reference: slot b takes row b; only_halted: rows for free slots only");
    f("augment", augment, "draw a symmetric copy of each training puzzle (Sudoku)");
    f("seed", seed, "of weights, order, augmentation and exploration");
    f("eval_every", eval_every, "steps between evaluations, 0: only at the end");
    f("eval_puzzles", eval_puzzles, "puzzles of an evaluation during training, 0: all");
    f("final_eval_puzzles", final_eval_puzzles,
      "puzzles of the last evaluation, 0: all, -1: as eval_puzzles");
    f("early_stop", early_stop, "stop after this many evaluations without a new best, 0: never");
    f("checkpoint_every", checkpoint_every, "steps between checkpoints");
    f("keep_checkpoints", keep_checkpoints, "checkpoints kept besides the best");
  }
};

struct Config {
  std::string preset;
  std::string data;                // folder of the data set
  std::vector<std::string> tasks;  // ARC: these of it alone; empty: all
  ModelConfig model;
  TrainConfig train;

  void validate() const { model.validate(), train.validate(); }
  // Sets one field by name from text ("hidden_size", "128"). Errors name the nearest key or the
  // values allowed.
  void set(const std::string& key, const std::string& value);
  void set_from(const std::string& item);  // "hidden_size=128"
  Json to_json() const;
  static Config from_json(const Json& json, const std::string& source);
};

// A setting in which two configurations differ, with its values as JSON text.
struct Difference {
  std::string key, old_value, new_value;
};
std::vector<Difference> differences(const Config& old_config, const Config& new_config);
// Whether a run may go on with another value of a setting: the length of the run, its rates, and
// when it evaluates and saves. All others would make it another run.
bool may_change_on_resume(const std::string& key);

// A gradient rule taken apart: "phantom:0.5:3" is {"phantom", {0.5, 3}}. An Error of one line if
// there is no such rule, or its numbers are missing, no numbers or out of range.
struct GradientRule {
  std::string name;
  std::vector<double> numbers;
};
GradientRule parse_gradient_rule(const std::string& text);

}  // namespace hrm

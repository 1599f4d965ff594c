// Every setting of a run: what the model is, how it is trained, on what. A setting is a member with
// its default, and one row of the table below it.
//
//     Config config = preset("sudoku4");       // hrm/presets.h
//     config.set("hidden_size", "96");         // an Error names the nearest setting
//     config.train.seed = 3;
//     config.validate();
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "hrm/support/json.h"
#include "kernels/act.h"
#include "kernels/loss.h"

namespace hrm {

// What is refined, over and over. segments: the states of HRM, segment by segment, each trained by
// itself (deep supervision); lattice: the tokens that each cell may still hold, of which a network
// strikes out some in every round (lattice deduction, arXiv 2605.08605; hrm/lattice).
enum class Refinement { segments, lattice };
// Which networks the recurrence applies: HRM's H and L; TRM's one for both roles; the plain
// Transformer, one application z_H = H(z_H + x) per segment.
enum class Levels { two, shared, single };
// The update rule of the weights. muon is for the matrices of the layers; the rest goes by adamw.
enum class OptimizerKind { adam_atan2, adamw, muon };
// learned_and_rope: angles, and positions added to the input as well; angles alone say how far
// apart two cells are, but not where they are.
enum class PosEncoding { rope, learned, none, learned_and_rope };
constexpr bool has_learned_positions(PosEncoding p) {
  return p == PosEncoding::learned || p == PosEncoding::learned_and_rope;
}
constexpr bool has_rope(PosEncoding p) {
  return p == PosEncoding::rope || p == PosEncoding::learned_and_rope;
}
// Whether rotary angles follow the number of a position, as in HRM, or the row and column of a
// cell.
enum class Rope { flat, grid };
// reference: a halted slot b takes row b of the incoming batch and the other incoming rows are
// dropped (official); only_halted: rows are drawn for the free slots alone.
enum class Refill { reference, only_halted };
// When a puzzle has had enough segments. q_learning: by the Q head (HRM, TRM); fixed: after the
// most; confidence: when the least sure cell is sure enough, without a head; act: Graves' adaptive
// computation time, the answer is a weighted mean over the segments; ponder: PonderNet, the loss
// is.
enum class Halting { q_learning, fixed, confidence, act, ponder };
// Where a lattice reads that a candidate is lost which was right. cls: from the extra token
// (published); max: from the cell, or the token, that says so most surely, which is learned sooner.
enum class ConflictHead { cls, max };
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
HRM_ENUM(Refinement, "segments", "lattice")
HRM_ENUM(Levels, "two", "shared", "single")
HRM_ENUM(PosEncoding, "rope", "learned", "none", "learned_and_rope")
HRM_ENUM(Rope, "flat", "grid")
HRM_ENUM(Refill, "reference", "only_halted")
// Which open cell a lattice guesses when it solves: any (published), or the one whose most likely
// token is the most likely of all.
enum class Guess { random, surest };
HRM_ENUM(Halting, "q_learning", "fixed", "confidence", "act", "ponder")
HRM_ENUM(ConflictHead, "cls", "max")
HRM_ENUM(Guess, "random", "surest")
HRM_ENUM(Conditioning, "variant", "task", "context", "blank")
HRM_ENUM(QHead, "halt_and_continue", "halt_only")
HRM_ENUM(LossType, "softmax_cross_entropy", "stablemax_cross_entropy")
HRM_ENUM(OptimizerKind, "adam_atan2", "adamw", "muon")
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

// The names that a setting of type E takes: all of them, but a model computes in floating types
// only.
template <class E>
std::vector<std::string> setting_values() {
  std::vector<std::string> names = EnumNames<E>::names;
  if constexpr (std::is_same_v<E, DType>)
    std::erase_if(names, [](const std::string& name) { return name == "i32" || name == "u8"; });
  return names;
}

// The value of a setting in a file: an enum's is its name.
template <class T>
auto setting_value(const T& value) {
  if constexpr (std::is_enum_v<T>)
    return std::string(to_string(value));
  else
    return value;
}

// One row of the table of settings. The command line, config.json, `hrm info`, the checks of
// validate() and those of a resumed run all follow from it; the default is the member's own.
struct Setting {
  struct Range {  // of a number, both ends included
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
  };
  const char* name;
  const char* help;
  Range range = {};
  // Whether a run may go on with another value: its length, its rates, and when it evaluates and
  // saves. All others would make it another run.
  bool may_change_on_resume = false;
};

struct ModelConfig {
  // From the data set.
  int64_t seq_len = 81;
  int64_t vocab_size = 11;
  int64_t num_puzzle_identifiers = 1;
  // Architecture.
  Refinement refinement = Refinement::segments;
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
  Rope rope = Rope::flat;
  double rope_theta = 10000;
  DType dtype = DType::f32;
  // Gradient, loss and halting.
  std::string gradient = "one_step";
  LossType loss = LossType::stablemax_cross_entropy;
  int64_t halt_max_steps = 16;
  Halting halting = Halting::q_learning;
  bool act = true;
  double halt_exploration_prob = 0.1;
  QHead q_head = QHead::halt_and_continue;
  bool continue_loss = true;
  double halt_confidence = 0.9;
  double act_epsilon = 0.01;
  double act_cost = 0.01;
  bool act_per_position = false;
  double ponder_cost = 0.01;
  double ponder_prior = 0.2;
  double ponder_threshold = 0.5;
  bool step_signal = false;
  bool input_once = false;

  // Where act, ponder and confidence say that a puzzle is done: SegmentResult::done is above it.
  double halt_threshold() const;
  // Whether a puzzle may halt before the last segment of a training. If not, all halt together.
  bool halts_early() const;
  // Tokens of an input row: seq_len, and what conditions it (see extra_inputs).
  int64_t input_len() const;
  // Positions of the puzzle prefix: puzzle_emb_len, or ceil(puzzle_emb_ndim / hidden_size).
  int64_t prefix() const;
  // The side of the square board that seq_len cells make up; 0 if they do not.
  int64_t side() const;
  // Throws one line for the first setting that is out of range or does not fit another.
  void validate() const;
  // Calls f(setting, member) for every row of the table below.
  template <class Visit>
  void fields(Visit&& f) {
    settings(*this, f);
  }
  template <class Visit>
  void fields(Visit&& f) const {
    settings(*this, f);
  }

 private:
  template <class Self, class Visit>
  static void settings(Self& m, Visit& f);
};

template <class Self, class Visit>
void ModelConfig::settings(Self& m, Visit& f) {
  constexpr double kMany = int64_t{1} << 40;
  const auto row = [&f](const char* name, auto& member, Setting::Range range, const char* help) {
    f(Setting{name, help, range}, member);
  };
  constexpr Setting::Range any;

  row("seq_len", m.seq_len, {1, 1 << 20}, "tokens of a puzzle (from the data set)");
  row("vocab_size", m.vocab_size, {2, 1 << 24}, "different tokens (from the data set)");
  row("num_puzzle_identifiers", m.num_puzzle_identifiers, {1, kMany},
      "rows of the puzzle table (from the data set)");
  row("refinement", m.refinement, any,
      "segments: states are refined (HRM); lattice: candidates of cells are struck out");
  row("levels", m.levels, any,
      "two: H and L networks (HRM); shared: one network for both (TRM); single: a Transformer");
  row("hidden_size", m.hidden_size, {1, 1 << 16}, "width of the states");
  row("num_heads", m.num_heads, {1, 1 << 16}, "attention heads");
  row("H_layers", m.H_layers, {0, 1000},
      "blocks of the H network (of the only network if levels is single)");
  row("L_layers", m.L_layers, {0, 1000},
      "blocks of the L network (of the only network if levels is shared)");
  row("H_cycles", m.H_cycles, {1, 100000}, "H updates in a segment");
  row("L_cycles", m.L_cycles, {0, 100000}, "L updates before each H update");
  row("expansion", m.expansion, {0.01, 1000},
      "SwiGLU size: expansion * hidden_size * 2/3, rounded up to a multiple of 256 (lattice: "
      "expansion * hidden_size); with mlp_t also the size over positions");
  row("pos_encodings", m.pos_encodings, any,
      "how positions are encoded; for a lattice, learned is one vector for the row, one for the "
      "column");
  row("mlp_t", m.mlp_t, any, "an MLP over positions instead of attention (TRM)");
  row("puzzle_emb_ndim", m.puzzle_emb_ndim, {0, 1 << 20}, "size of a puzzle embedding; 0: none");
  row("puzzle_emb_len", m.puzzle_emb_len, {0, 1 << 16},
      "positions of the puzzle prefix; 0: just enough for puzzle_emb_ndim");
  row("conditioning", m.conditioning, any, "what the prefix tells the model of its puzzle");
  row("context_pairs", m.context_pairs, {1, 100},
      "demonstrations that a row sees when conditioning is context");
  row("rms_norm_eps", m.rms_norm_eps, {0, 1}, "epsilon of the RMS norms");
  row("rope", m.rope, any,
      "what rotary angles follow: flat: the number of the position (HRM); grid: row and column");
  row("rope_theta", m.rope_theta, {1, 1e12}, "base of the rotary angles");
  row("dtype", m.dtype, any, "what activations are computed in");
  row("gradient", m.gradient, any, "gradient rule of the recurrence (listed below)");
  row("loss", m.loss, any, "loss of the answer");
  row("halt_max_steps", m.halt_max_steps, {1, 100000},
      "most segments for a puzzle (lattice: rounds)");
  row("halting", m.halting, any,
      "q_learning: by the Q head (HRM); fixed: after the most segments; confidence: when all cells "
      "are sure; act: Graves' mean of answers; ponder: PonderNet");
  row("act", m.act, any,
      "q_learning, confidence: in training a puzzle may halt sooner; false: all take the most");
  row("halt_exploration_prob", m.halt_exploration_prob, {0, 1},
      "share of rows whose smallest number of segments is drawn");
  row("q_head", m.q_head, any,
      "halt_and_continue: halts when q_halt > q_continue; halt_only: when q_halt > 0 (TRM)");
  row("continue_loss", m.continue_loss, any,
      "train q_continue, on the q values of the next segment (HRM)");
  row("halt_confidence", m.halt_confidence, {0, 1},
      "confidence: the probability of the most likely token that every cell must pass");
  row("act_epsilon", m.act_epsilon, {1e-6, 0.5},
      "act: a puzzle halts when its halting probabilities add up to 1 minus this");
  row("act_cost", m.act_cost, {0, 1e6}, "act: weight of the segments taken in the loss (tau)");
  row("act_per_position", m.act_per_position, any,
      "act: every position halts by itself, and keeps its state then (Universal Transformer)");
  row("ponder_cost", m.ponder_cost, {0, 1e6},
      "ponder: weight of the divergence in the loss (beta)");
  row("ponder_prior", m.ponder_prior, {1e-6, 1 - 1e-6},
      "ponder: probability to halt after a segment in the geometric prior (lambda_p)");
  row("ponder_threshold", m.ponder_threshold, {0, 1},
      "ponder: a puzzle is done when it would have halted by now with this probability");
  row("step_signal", m.step_signal, any,
      "add a signal of the segment's number to the input (Universal Transformer)");
  row("input_once", m.input_once, any,
      "the tokens enter in the first segment alone (Universal Transformer)");
}

struct TrainConfig {
  int64_t batch_size = 64;
  int64_t micro_batches = 1;
  bool bf16_gradients = false;
  bool fast_sum = false;
  int64_t unroll_segments = 1;
  bool depth_curriculum = false;
  double late_start_share = 0;
  int64_t late_start_updates = 512;
  int64_t total_steps = 1000;
  OptimizerKind optimizer = OptimizerKind::adam_atan2;
  double lr = 1e-4;
  double lr_min_ratio = 1;
  int64_t lr_warmup_steps = 2000;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double momentum = 0.95;
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
  double early_stop_accuracy = 0;
  int64_t checkpoint_every = 200;
  int64_t keep_checkpoints = 2;

  // Slots that run a segment in a step, those of every segment counted: the samples of a step.
  int64_t step_rows() const { return batch_size * unroll_segments; }
  // As ModelConfig's.
  void validate() const;
  template <class Visit>
  void fields(Visit&& f) {
    settings(*this, f);
  }
  template <class Visit>
  void fields(Visit&& f) const {
    settings(*this, f);
  }

 private:
  template <class Self, class Visit>
  static void settings(Self& t, Visit& f);
};

template <class Self, class Visit>
void TrainConfig::settings(Self& t, Visit& f) {
  constexpr double kMany = int64_t{1} << 40;
  const auto fixed = [&f](const char* name, auto& member, Setting::Range range, const char* help) {
    f(Setting{name, help, range, false}, member);
  };
  const auto may_change = [&f](const char* name, auto& member, Setting::Range range,
                               const char* help) {
    f(Setting{name, help, range, true}, member);
  };
  constexpr Setting::Range any;
  constexpr Setting::Range below_one = {0, 0.999999999};

  fixed("batch_size", t.batch_size, {1, 1 << 20}, "puzzles in a step");
  fixed("micro_batches", t.micro_batches, {1, 1 << 20},
        "slices that a step is computed in, to save memory; their gradients add up");
  fixed("bf16_gradients", t.bf16_gradients, any,
        "the gradients of micro-batches are added up in bf16: half the bytes between processes, "
        "and fewer digits");
  may_change("fast_sum", t.fast_sum, any,
             "several processes add up gradients in the quickest order, which no other run repeats "
             "bit for bit");
  fixed("unroll_segments", t.unroll_segments, {1, 1000},
        "segments in a step, not detached from each other; their mean loss counts");
  fixed(
      "depth_curriculum", t.depth_curriculum, any,
      "a third of the cycles (lattice: loops) for the first 30 % of the steps, two thirds for the "
      "next (CGAR)");
  fixed("late_start_share", t.late_start_share, {0, 1},
        "share of the steps that first run the states ahead without gradient, so that late states "
        "are trained, too");
  fixed("late_start_updates", t.late_start_updates, {32, 1 << 20},
        "most updates that such a step runs ahead; 32 are the fewest");
  may_change("total_steps", t.total_steps, {1, kMany}, "steps of the whole run");
  fixed("optimizer", t.optimizer, any,
        "update rule of the weights; muon: for the matrices of the layers, and adamw for the rest");
  may_change("lr", t.lr, {0, 1e3}, "learning rate");
  may_change("lr_min_ratio", t.lr_min_ratio, {0, 1},
             "the cosine schedule ends at lr times this; 1: constant");
  fixed("lr_warmup_steps", t.lr_warmup_steps, {0, kMany}, "steps of linear warm-up");
  fixed("beta1", t.beta1, below_one, "decay of the first moment");
  fixed("beta2", t.beta2, below_one, "decay of the second moment");
  fixed("momentum", t.momentum, below_one, "muon: decay of the average gradient");
  may_change("weight_decay", t.weight_decay, {0, 1e3}, "decoupled weight decay");
  may_change("puzzle_emb_lr", t.puzzle_emb_lr, {0, 1e3}, "learning rate of the puzzle table");
  fixed("puzzle_emb_weight_decay", t.puzzle_emb_weight_decay, {0, 1e3},
        "weight decay of the puzzle rows that a step used");
  may_change("clip_norm", t.clip_norm, {0, 1e30}, "largest gradient norm; 0: no clipping");
  fixed("ema", t.ema, below_one, "rate of the averaged weights that are evaluated; 0: none");
  fixed(
      "refill", t.refill, any,
      "reference: slot b takes row b of a batch; only_halted: rows are drawn for free slots only");
  fixed("augment", t.augment, any, "train on symmetric copies, drawn anew each time");
  fixed("seed", t.seed, {.low = 0}, "seed of weights, order, augmentation and exploration");
  may_change("eval_every", t.eval_every, {0, kMany},
             "steps between evaluations; 0: only at the end");
  may_change("eval_puzzles", t.eval_puzzles, {0, kMany},
             "puzzles of an evaluation during training; 0: all");
  may_change("final_eval_puzzles", t.final_eval_puzzles, {-1, kMany},
             "puzzles of the last evaluation; 0: all, -1: as eval_puzzles");
  may_change("early_stop", t.early_stop, {0, kMany},
             "stop after this many evaluations without a new best; 0: never");
  may_change("early_stop_accuracy", t.early_stop_accuracy, {0, 1},
             "stop when two evaluations in a row solve this share exactly; 0: never");
  may_change("checkpoint_every", t.checkpoint_every, {1, kMany}, "steps between checkpoints");
  may_change("keep_checkpoints", t.keep_checkpoints, {1, 1000}, "checkpoints kept beside the best");
}

// Lattice deduction (arXiv 2605.08605), beside what it shares with the other models. The defaults
// are the published recipe.
struct LatticeConfig {
  // Network.
  int64_t loops = 16;
  int64_t layers = 4;
  double dropout = 0.1;
  ConflictHead conflict_head = ConflictHead::cls;
  // Loss.
  double alive_weight = 4;
  double dead_weight = 0.5;
  double symbol_loss = 1;
  double conflict_loss = 0.1;
  // A round, in training.
  double remove_below = 0.1;
  double conflict_above = 0.5;
  double temperature = 1.5;
  int64_t max_age = 100;
  double bare_share = 0.2;
  double right_share = 0.55;
  // Solving.
  int64_t chains = 64;
  Guess solve_guess = Guess::random;
  double solve_conflict_above = 0.6;
  double solve_dropout = 0.05;

  // As ModelConfig's.
  void validate() const;
  template <class Visit>
  void fields(Visit&& f) {
    settings(*this, f);
  }
  template <class Visit>
  void fields(Visit&& f) const {
    settings(*this, f);
  }

 private:
  template <class Self, class Visit>
  static void settings(Self& l, Visit& f);
};

template <class Self, class Visit>
void LatticeConfig::settings(Self& l, Visit& f) {
  constexpr Setting::Range any;
  constexpr Setting::Range share = {0, 1};
  const auto fixed = [&f](const char* name, auto& member, Setting::Range range, const char* help) {
    f(Setting{name, help, range, false}, member);
  };
  const auto may_change = [&f](const char* name, auto& member, Setting::Range range,
                               const char* help) {
    f(Setting{name, help, range, true}, member);
  };
  fixed("lattice_loops", l.loops, {1, 1000}, "times that the same layers are applied in a round");
  fixed("lattice_layers", l.layers, {1, 100}, "layers of the network");
  fixed("lattice_dropout", l.dropout, {0, 0.99}, "share of the activations dropped in training");
  fixed("lattice_conflict_head", l.conflict_head, any,
        "where a conflict is read: cls: an extra token; max: the cell or token that shows it most");
  fixed("lattice_alive_weight", l.alive_weight, {0, 1e6},
        "weight of a candidate that is right in the loss");
  fixed("lattice_dead_weight", l.dead_weight, {0, 1e6},
        "weight of a candidate that is wrong in the loss");
  fixed("lattice_symbol_loss", l.symbol_loss, {0, 1e6},
        "weight of the cross entropy of the open cells");
  fixed("lattice_conflict_loss", l.conflict_loss, {0, 1e6},
        "weight of the loss of the conflict head");
  fixed("lattice_remove_below", l.remove_below, share,
        "a candidate is struck out when its probability to be right is below this");
  fixed("lattice_conflict_above", l.conflict_above, share,
        "a state is given up in training when its probability of a conflict is above this");
  fixed("lattice_temperature", l.temperature, {0.01, 1000},
        "temperature of the draw when an open cell is guessed");
  fixed("lattice_max_age", l.max_age, {1, 1000000}, "rounds after which a state is given up");
  fixed("lattice_bare_share", l.bare_share, share, "share of new states that are the bare puzzle");
  fixed("lattice_right_share", l.right_share, share,
        "share with some cells filled in rightly; in the rest, some of them are wrong");
  may_change("lattice_chains", l.chains, {1, 4096}, "attempts at a puzzle, side by side");
  may_change("lattice_solve_guess", l.solve_guess, any,
             "the open cell that an attempt guesses: random: any; surest: the one it is surest of");
  may_change("lattice_solve_conflict_above", l.solve_conflict_above, share,
             "an attempt starts anew when its probability of a conflict is above this");
  may_change("lattice_solve_dropout", l.solve_dropout, {0, 0.99},
             "share of the activations dropped in solving, so that attempts differ");
}

struct Config {
  std::string preset;
  std::string data;                // folder of the data set
  std::vector<std::string> tasks;  // ARC: these of it alone; empty: all
  ModelConfig model;
  TrainConfig train;
  LatticeConfig lattice;  // where model.refinement is lattice

  bool is_lattice() const { return model.refinement == Refinement::lattice; }
  // As ModelConfig's; an Error also for a setting that this kind of refinement does not read.
  void validate() const;
  // visit(name, group) for the groups of settings, as config.json has them.
  template <class Visit>
  void groups(Visit&& visit) {
    visit("model", model);
    visit("train", train);
    visit("lattice", lattice);
  }
  template <class Visit>
  void groups(Visit&& visit) const {
    visit("model", model);
    visit("train", train);
    visit("lattice", lattice);
  }
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
// Whether a run may go on with another value of the setting of that name.
bool may_change_on_resume(const std::string& key);

}  // namespace hrm

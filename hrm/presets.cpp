#include "hrm/presets.h"

#include "hrm/support/text.h"

namespace hrm {
namespace {

Config sudoku(int64_t side, int64_t segments, int64_t batch, int64_t steps) {
  Config c;
  ModelConfig& m = c.model;
  m.seq_len = side * side;
  m.vocab_size = side + 2;
  m.hidden_size = m.puzzle_emb_ndim = 128;
  m.num_heads = 4;
  m.H_layers = m.L_layers = 2;
  m.halt_max_steps = segments;
  TrainConfig& t = c.train;
  t.batch_size = batch;
  t.total_steps = steps;
  t.lr = 1e-3;
  t.lr_min_ratio = 0.1;
  t.lr_warmup_steps = 50;
  t.puzzle_emb_lr = 1e-3;
  t.refill = Refill::only_halted;
  t.eval_every = steps / 10;
  t.final_eval_puzzles = 0;
  return c;
}

// HRM whose gradient goes through all segments of a puzzle: one cycle of one update each, many
// segments. At this size it learns many times faster than the one-step gradient; see
// docs/small_models.md.
Config deep(int64_t side, int64_t segments, int64_t batch, int64_t steps) {
  Config c = sudoku(side, segments, batch, steps);
  ModelConfig& m = c.model;
  m.H_layers = m.L_layers = m.H_cycles = m.L_cycles = 1;
  m.puzzle_emb_ndim = 0;
  m.pos_encodings = PosEncoding::learned_and_rope;
  m.rope = Rope::grid;
  m.rope_theta = 10;  // boards are small
  m.gradient = "full_bptt";
  m.act = false;  // puzzles that halt early leave later segments untrained
  m.q_head = QHead::halt_only;
  m.continue_loss = false;
  m.dtype = DType::bf16;
  c.train.unroll_segments = segments;
  c.train.lr = 2e-3;
  c.train.ema = 0.99;
  return c;
}

// Lattice deduction at a size that a laptop trains.
Config lattice(int64_t side, int64_t loops, int64_t batch, int64_t steps) {
  Config c;
  ModelConfig& m = c.model;
  m.refinement = Refinement::lattice;
  m.seq_len = side * side;
  m.vocab_size = side + 2;
  m.hidden_size = 128;
  m.num_heads = 4;
  m.pos_encodings = PosEncoding::learned_and_rope;
  m.rope = Rope::grid;
  m.rope_theta = 10;  // boards are small
  m.halt_max_steps = 32;
  m.dtype = DType::bf16;
  TrainConfig& t = c.train;
  t.batch_size = batch;
  t.total_steps = steps;
  t.optimizer = OptimizerKind::adamw;
  t.lr = 3e-3;
  t.lr_min_ratio = 0.01;
  t.lr_warmup_steps = 50;
  t.clip_norm = 1;
  t.eval_every = steps / 4;
  t.final_eval_puzzles = 0;
  t.eval_puzzles = 64;  // while little is learned yet, each of them takes all its rounds
  LatticeConfig& l = c.lattice;
  l.loops = loops;
  l.dropout = l.solve_dropout = 0;  // so short a training does not overfit
  l.conflict_head = ConflictHead::max;
  l.conflict_loss = 1;
  l.solve_guess = Guess::surest;
  l.chains = 4;
  return c;
}

void use_muon(TrainConfig& t) {
  t.optimizer = OptimizerKind::muon;
  t.lr = 1e-2;
  t.clip_norm = 0;  // Muon does not see a common factor
}

// Fewer layers and more loops, with an MLP over positions instead of attention: mazes and hard
// Sudoku ask for depth.
Config mlp_lattice(int64_t side, int64_t hidden, int64_t batch, int64_t steps) {
  Config c = lattice(side, 8, batch, steps);
  c.model.hidden_size = hidden;
  c.model.mlp_t = true;
  c.model.pos_encodings = PosEncoding::learned;  // there is no attention to turn
  c.model.rope = Rope::flat;
  use_muon(c.train);
  c.train.depth_curriculum = true;
  c.train.ema = 0.99;
  c.lattice.layers = 2;
  return c;
}

// The published recipe of Sudoku-Extreme.
Config full_size() {
  Config c;
  c.train.batch_size = 768;
  c.train.total_steps = 26041;
  c.train.weight_decay = c.train.puzzle_emb_weight_decay = 1;
  c.train.puzzle_emb_lr = 1e-4;
  c.train.eval_every = 1000;
  return c;
}

struct Preset {
  PresetInfo info;
  Config (*make)();
};
const std::vector<Preset>& preset_table() {
  static const std::vector<Preset> table = {
      {{"sudoku4", "4x4 Sudoku, hidden 128, 2+2 layers: minutes on a laptop (hrm demo)", "sudoku",
        "sudoku --side 4", "data/sudoku4"},
       [] { return sudoku(4, 4, 64, 1720); }},
      {{"sudoku6", "6x6 Sudoku (boxes 2x3), hidden 128, 1+1 layers: minutes on a laptop", "sudoku",
        "sudoku --side 6", "data/sudoku6"},
       [] { return deep(6, 8, 32, 1000); }},
      {{"sudoku9",
        "9x9 Sudoku on easy generated puzzles, hidden 128, 1+1 layers: minutes on a laptop",
        "sudoku", "sudoku --side 9", "data/sudoku9"},
       [] { return deep(9, 8, 32, 1500); }},
      {{"lattice4", "4x4 Sudoku by lattice deduction, hidden 128, 4 layers: minutes on a laptop",
        "sudoku", "sudoku --side 4", "data/sudoku4"},
       [] { return lattice(4, 4, 64, 200); }},
      {{"lattice6", "6x6 Sudoku by lattice deduction: minutes on a laptop", "sudoku",
        "sudoku --side 6", "data/sudoku6"},
       [] { return lattice(6, 4, 64, 400); }},
      {{"lattice9",
        "hard 9x9 Sudoku by lattice deduction, an MLP over positions: an hour on a laptop",
        "sudoku", "sudoku --side 9 --minimal", "data/sudoku9-minimal"},
       [] {
         Config c = mlp_lattice(9, 128, 64, 9600);
         c.model.halt_max_steps = 200;
         c.train.lr_warmup_steps = 100;
         c.train.eval_every = 0;  // thousands of rounds while little is learned
         c.train.final_eval_puzzles = 200;
         return c;
       }},
      {{"lattice-maze",
        "10x10 mazes by lattice deduction, hidden 64, an MLP over positions: minutes on a laptop",
        "maze", "maze --size 10 --count 10000 --min-path 9 --unique", "data/maze10"},
       [] {
         Config c = mlp_lattice(10, 64, 32, 2400);
         c.model.vocab_size = 6;
         c.lattice.conflict_loss = 0.1;
         return c;
       }},
      {{"lattice-maze30", "30x30 mazes by lattice deduction, the published recipe: for a GPU",
        "maze", "maze --size 30", "data/maze30"},
       [] {
         Config c = lattice(30, 16, 192, 20000);
         ModelConfig& m = c.model;
         m.vocab_size = 6;
         m.hidden_size = 192;
         m.pos_encodings = PosEncoding::rope;
         m.rope_theta = 10000;
         m.halt_max_steps = 1000;
         c.train.lr_warmup_steps = 2000;
         c.train.eval_every = 2000;
         c.lattice = {};
         c.lattice.remove_below = 0.5;
         c.lattice.solve_conflict_above = 0.53;
         c.lattice.solve_dropout = 0;
         return c;
       }},
      {{"ut", "Universal Transformer on 4x4 Sudoku: one block, every cell halts by itself (ACT)",
        "sudoku", "sudoku --side 4", "data/sudoku4"},
       [] {
         Config c = sudoku(4, 8, 64, 2000);
         ModelConfig& m = c.model;
         m.levels = Levels::single;
         m.H_layers = m.H_cycles = 1;
         m.L_layers = m.L_cycles = 0;
         m.pos_encodings = PosEncoding::learned;
         m.puzzle_emb_ndim = 0;
         m.gradient = "full_bptt";
         m.halting = Halting::act;
         m.act_per_position = m.step_signal = m.input_once = true;
         m.continue_loss = false;
         c.train.unroll_segments = m.halt_max_steps;
         return c;
       }},
      {{"maze10", "10x10 mazes, hidden 64, 1+1 layers, an MLP over positions: minutes on a laptop",
        "maze", "maze --size 10 --count 10000 --min-path 9 --unique", "data/maze10"},
       [] {
         Config c = deep(10, 8, 32, 2400);
         c.model.vocab_size = 6;
         c.model.hidden_size = 64;
         c.model.mlp_t = true;                       // attention: nothing after 500 steps
         c.model.pos_encodings = PosEncoding::none;  // the MLP has weights for each position
         c.model.rope = Rope::flat;
         return c;
       }},
      {{"queens8",
        "8 queens with some given, hidden 128, 1+1 layers, an MLP over positions: minutes",
        "n_queens", "n_queens --side 8", "data/queens8"},
       [] {
         Config c = sudoku(8, 4, 64, 1000);
         ModelConfig& m = c.model;
         m.vocab_size = 3;
         m.H_layers = m.L_layers = 1;
         m.mlp_t = true;
         m.continue_loss = false;
         c.train.lr = 2e-3;
         return c;
       }},
      {{"parity", "the parity of 16 signs, for rules of halting; hidden 64, 1+1 layers: a minute",
        "parity", "parity --side 4 --count 20000", "data/parity4"},
       [] {
         Config c = sudoku(4, 8, 64, 2000);
         ModelConfig& m = c.model;
         m.vocab_size = 4;
         m.hidden_size = m.puzzle_emb_ndim = 64;
         m.H_layers = m.L_layers = 1;
         c.train.ema = 0.99;
         return c;
       }},
      {{"arc-task", "one ARC task, or a few, on a small canvas: hidden 128, 1+1 layers", "arc",
        "arc --from ARC-AGI/data", "data/arc"},
       [] {
         Config c = sudoku(30, 4, 32, 4000);
         c.model.vocab_size = 12;
         c.model.H_layers = c.model.L_layers = 1;
         c.train.puzzle_emb_lr = 1e-2;
         c.train.eval_every = 0;
         c.train.checkpoint_every = 500;
         return c;
       }},
      {{"hrm-arc", "the HRM of the paper with the ARC recipe, for `hrm data arc`", "arc",
        "arc --from ARC-AGI/data", "data/arc"},
       [] {
         Config c = full_size();
         c.model.seq_len = 900;
         c.model.vocab_size = 12;
         c.train.weight_decay = c.train.puzzle_emb_weight_decay = 0.1;
         c.train.puzzle_emb_lr = 1e-2;
         c.train.total_steps = 450000;
         c.train.eval_every = 10000;
         return c;
       }},
      {{"hrm-27m", "the HRM of the paper, 27,275,266 parameters, Sudoku-Extreme recipe", "",
        "sudoku --side 9", "data/sudoku9"},
       [] { return full_size(); }},
      {{"trm-5m", "TRM with an MLP over positions, 5,028,866 parameters, Sudoku recipe", "",
        "sudoku --side 9", "data/sudoku9"},
       [] {
         Config c = full_size();
         ModelConfig& m = c.model;
         m.levels = Levels::shared;
         m.H_layers = 0;
         m.L_layers = 2;
         m.H_cycles = 3;
         m.L_cycles = 6;
         m.pos_encodings = PosEncoding::none;
         m.mlp_t = true;
         m.puzzle_emb_len = 16;
         m.gradient = "last_cycle";
         m.q_head = QHead::halt_only;
         m.continue_loss = false;
         c.train.ema = 0.999;
         c.train.total_steps = 65104;
         return c;
       }},
      {{"transformer-27m", "a plain Transformer in the same outer loop, 27,144,194 parameters", "",
        "sudoku --side 9", "data/sudoku9"},
       [] {
         Config c = full_size();
         ModelConfig& m = c.model;
         m.levels = Levels::single;
         m.H_layers = 8;
         m.L_layers = 0;
         m.H_cycles = 1;
         m.L_cycles = 0;
         m.num_heads = 12;
         m.gradient = "full_bptt";
         m.continue_loss = false;
         return c;
       }},
  };
  return table;
}

}  // namespace

const std::vector<PresetInfo>& presets() {
  static const std::vector<PresetInfo> infos = [] {
    std::vector<PresetInfo> all;
    for (const Preset& p : preset_table()) all.push_back(p.info);
    return all;
  }();
  return infos;
}

Config preset(const std::string& name) {
  std::vector<std::string> names;
  for (const Preset& p : preset_table()) {
    names.push_back(p.info.name);
    if (p.info.name != name) continue;
    Config config = p.make();
    config.preset = name;
    return config;
  }
  const std::string close = nearest(name, names);
  detail::fail(
      "[config] unknown preset '", name, "'. HINT: ",
      close.empty() ? "presets are " + join(names, ", ") : "did you mean '" + close + "'?");
}

}  // namespace hrm

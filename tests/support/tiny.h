// Models and puzzle sets so small that a test of them takes milliseconds.
#pragma once

#include "hrm/config.h"
#include "hrm/tasks/sudoku_build.h"

namespace hrm::test {

// Two networks of one layer and two heads each.
inline void make_tiny(ModelConfig& config, int64_t width) {
  config.hidden_size = config.puzzle_emb_ndim = width;
  config.num_heads = 2;
  config.H_layers = config.L_layers = 1;
}

// A model of 5 positions and 6 tokens in f64, where finite differences and sums in another order
// agree to many digits.
inline ModelConfig tiny_model() {
  ModelConfig config;
  config.seq_len = 5;
  config.vocab_size = 6;
  config.dtype = DType::f64;
  make_tiny(config, 16);
  return config;
}

// Generated puzzles, test_count of which are for the test split.
inline SudokuBuild tiny_sudoku(int side, int64_t count, int64_t test_count) {
  SudokuBuild build;
  build.rules = SudokuRules::of_side(side);
  build.count = count;
  build.test_count = test_count;
  return build;
}

}  // namespace hrm::test

// Training HRM through the library in 40 lines: puzzles, model, carry, one optimizer step per
// segment.
#include <cstdio>

#include <hrm/hrm.h>
#include <hrm/model/segment.h>
#include <hrm/tasks/sudoku.h>

using namespace hrm;

int main() {
  ModelConfig config;
  config.seq_len = 16;
  config.vocab_size = 6;  // 4x4 Sudoku: blank 1, digits 2..5
  config.hidden_size = 64;
  config.num_heads = 2;
  config.H_layers = config.L_layers = 1;
  config.puzzle_emb_ndim = 0;
  config.halt_max_steps = 4;
  Random random(7);
  Model model(config, &random);
  Adam optimizer(model.named_parameters(), {});

  const SudokuRules rules = SudokuRules::of_side(4);
  const int64_t rows = 32;
  const auto new_puzzles = [&] {
    Batch batch{empty({rows, 16}, DType::i32), empty({rows, 16}, DType::i32),
                zeros({rows}, DType::i32), rows};
    for (int64_t r = 0; r < rows; ++r) {
      const Grid solution = random_solution(rules, random);
      const auto inputs = to_tokens(remove_digits(rules, solution, 10, false, random));
      const auto labels = to_tokens(solution);
      std::copy(inputs.begin(), inputs.end(), batch.inputs.data<int32_t>() + r * 16);
      std::copy(labels.begin(), labels.end(), batch.labels.data<int32_t>() + r * 16);
    }
    return batch;
  };

  Carry carry = initial_carry(model, rows);
  for (int step = 1; step <= 300; ++step) {
    begin_segment(model, carry, new_puzzles(), Refill::reference);  // halted slots take new puzzles
    const Exploration exploration = Exploration::draw(config, rows, random, Device::cpu);
    const SegmentResult r = train_segment(model, carry, exploration, 1.0 / rows);
    optimizer.step(1e-3);
    optimizer.zero_grad();
    if (step % 50 == 0) {
      const auto m = r.metrics.to_vector();  // of the puzzles finished in this step
      std::printf("step %3d  loss %.3f  cells right %.1f %%\n", step, r.loss.lm.item() / rows,
                  m[0] > 0 ? 100 * m[1] / m[0] : 0);
    }
  }
}

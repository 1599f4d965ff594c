// What `make bench` measures, besides the machine itself.
#pragma once

#include "bench/measure.h"
#include "kernels/types.h"

namespace hrm::bench {

// Every kernel of a training step at HRM's shapes.
std::vector<Entry> kernel_entries();
// Eigen's product at the same shapes, in groups with the names of ours.
std::vector<Entry> eigen_entries();

// One training step of a preset.
struct StepResult {
  std::string preset, dtype;
  int threads = 0;
  int64_t batch = 0, positions = 0;
  double seconds = 0, flops = 0;  // of a step; flops counted from the shapes
  double peak_flops = 0;          // of the machine, measured in turns with the step
  double state_bytes = 0;         // weights, gradients, optimizer state
  double activation_bytes = 0;    // the peak of all tensors, without those
  std::vector<std::pair<std::string, double>> shares;  // of the thread time, by kernel
};
StepResult measure_step(const std::string& preset, DType dtype, int64_t batch, int threads,
                        int rounds, bool with_machine = true);

// Solving with the 27M model, one 9x9 puzzle, all 16 segments.
double seconds_to_solve(DType dtype, int rounds);

// Evaluation with real halting against all 16 segments, of the sudoku4 model with a q head that
// halts at random.
struct HaltingResult {
  double mean_segments = 0, share_of_segments = 0, share_of_time = 0;
};
HaltingResult measure_halting(int64_t puzzles, int rounds);

// ARC data of random tasks, each with the given number of variants.
struct ArcResult {
  double open_seconds = 0;  // until the data set is there
  double row_seconds = 0;   // to make one training row of 900 tokens
  double vote_seconds = 0;  // to crop, undo and count one prediction
  double vote_bytes = 0;    // the most that is resident while voting, data set included
  int64_t votes = 0;
};
ArcResult measure_arc(int64_t tasks, int64_t variants);

// One step of CompressARC, for a task with so many cells: examples x colours x directions x rows x
// columns.
struct CompressResult {
  int64_t cells = 0;
  double one_thread = 0, all_threads = 0;  // seconds
  double peak_bytes = 0;                   // of all tensors
};
std::vector<CompressResult> measure_compressarc(int threads);

}  // namespace hrm::bench

// Kernels of tests/test_emulate.cpp: ones with a planted fault, and ones that use an operation.
#pragma once

#include <cstddef>
#include <vector>

namespace hrm::test {

// A kernel that makes a mistake if `faulty`, and else does the same thing right.
struct Fault {
  const char* name;
  void (*run)(bool faulty);
  const char* message;  // part of the error
};
const std::vector<Fault>& faults();          // seen by the scheduler
const std::vector<Fault>& checker_faults();  // seen by the checker of memory accesses

// What the 32 lanes get: 4 operations x 32 lanes of shuffle (from lane 3 l + 1), xor 5, up 2,
// ballot of odd inputs.
std::vector<unsigned> warp_operations(const std::vector<unsigned>& in);
// 16 x 16 matrix of bf16 bits by ldmatrix_x4: 4 registers of each lane. Lane l gives row l % 16,
// columns 8 (l / 16)...
std::vector<unsigned> load_matrix(const std::vector<unsigned short>& matrix, bool transposed);
// c + a b, a 16x16, b 16x8, c 16x8, row by row.
std::vector<float> multiply(const std::vector<unsigned short>& a,
                            const std::vector<unsigned short>& b, const std::vector<float>& c);
// Each block turns 64 values around, through three buffers of asynchronous copies.
std::vector<float> turned(const std::vector<float>& in);
// Every 128 values' sum in each of their places, by block_sum.
std::vector<double> block_sums(const std::vector<float>& in);
// All values added up in the order in which the threads run.
float racy_sum(const std::vector<float>& in);
// An empty kernel.
void launch_sized(unsigned grid_x, unsigned grid_y, unsigned block, size_t shared);

}  // namespace hrm::test

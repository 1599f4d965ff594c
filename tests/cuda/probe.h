// What each lane holds after ldmatrix and mma: the layout that kernels rely on.
#pragma once

#include <cstdint>
#include <vector>

namespace hrm::test {

// 32 lanes x (4 registers of ldmatrix_x4, 4 of it transposed, 4 sums of mma_bf16), from matrices
// whose elements tell where they stood.
std::vector<uint32_t> mma_probe();

}  // namespace hrm::test

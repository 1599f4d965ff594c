// A stand-in for cuBLASLt and for the device's runtime, so that the host side of the products runs
// without a GPU: nothing is computed, but every product that the library is asked for is noted, and
// held against the memory it would touch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/gemm.h"

namespace hrm::stand_in {

struct Product {
  int algorithm = 0;   // its number among the candidates
  bool inside = true;  // all operands lie in memory that was allocated
};
// One candidate of the library's heuristics.
struct Candidate {
  bool usable = true;  // its state
  bool fails = false;  // when it runs
  double seconds = 1e-4;
};

struct Library {
  std::vector<Candidate> candidates = {{}};
  std::vector<Product> products;     // asked of the library
  int references = 0;                // computed by our own kernel instead
  std::vector<uint32_t> alignments;  // told to the heuristics, bytes
};
Library& library();

// A block of device memory; products that reach outside of all blocks are noted.
void* device_memory(size_t bytes);

}  // namespace hrm::stand_in

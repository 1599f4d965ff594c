// A stand-in for the CUDA runtime and cuBLASLt: the host side of the CUDA backend, in the very
// objects that run on a GPU, runs over it without one. Nothing is computed, device memory reads as
// zeros. But all that the backend asks for is noted, and held against what a GPU would accept: a
// launch that it would refuse, memory that is not there, a call that a recording forbids.
//
//     graph.record(work);
//     CHECK(stand_in::device().violations.empty());
//     CHECK(stand_in::device().graph.size() == 3);   // launches, copies and products recorded
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hrm::stand_in {

// Memory that an operation reads or writes. Of what a kernel's pointer points to, only the address
// is known.
struct Range {
  const void* at;
  size_t bytes;
};

// A launch, copy or product.
struct Operation {
  // "fill_kernel<f32>, 8 blocks of 256", "copy within", "product bf16 NT 62976 x 3072 x 512"
  std::string name;
  std::vector<Range> memory;
};

// One candidate of cuBLASLt's heuristics.
struct Candidate {
  bool usable = true;  // its state
  bool fails = false;  // when it runs
  double seconds = 1e-4;
};

struct Device {
  std::vector<std::string> violations;
  std::vector<Operation> queued;  // all so far, outside of recordings
  std::vector<Operation> graph;   // of the last recording
  double seconds = 0;             // what the products so far have taken
  std::vector<Candidate> candidates = {{}};
  std::vector<int> algorithms;       // of each product, its number among the candidates
  std::vector<uint32_t> alignments;  // last told to the heuristics, bytes
};
Device& device();

// A kernel of this program by its name, "fill_kernel".
const void* kernel(const std::string& name);

// For the parts of the stand-in -------------------------------------------------------------------

void violation(const std::string& what);
// Notes it, after a look at its memory.
void queue(Operation operation);
// The stream must be one that was made, not the default.
void check_stream(const void* stream, const std::string& what);

}  // namespace hrm::stand_in

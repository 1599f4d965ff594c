// Which instructions of the processor the CPU's kernels use. A program holds one or more copies of
// the kernels, each compiled for an instruction set: one for the machine that `make` ran on, or
// with `make PORTABLE=1` one for every generation of x86-64. When the program starts, the functions
// of hrm::cpu become those of the best copy that the processor can run; all other code is compiled
// for every processor. The variable HRM_ISA names another set. If the processor can run none, or
// not the one that HRM_ISA names, the program ends there with a line that says so.
//
//     std::cout << name_of(instruction_set());   // "v3"
#pragma once

#include <vector>

namespace hrm {

// Each one of x86-64 includes those before it.
enum class InstructionSet {
  generic,  // of no processor in particular
  neon,     // aarch64: vectors of 16 bytes
  simd128,  // WebAssembly: vectors of 16 bytes
  v1,       // x86-64: SSE2
  v2,       // x86-64-v2: SSE4.2
  v3,       // x86-64-v3: AVX2 and FMA, vectors of 32 bytes
  v4,       // x86-64-v4: AVX-512, vectors of 64 bytes
  bf16,     // with products of bf16 (AVX512_BF16)
  amx,      // with tiles of bf16 (AMX)
};

const char* name_of(InstructionSet set);         // "v3"
const char* description_of(InstructionSet set);  // "x86-64-v3: AVX2 and FMA"

// The one in use.
InstructionSet instruction_set();
// Those that HRM_ISA may name: in this program, and known to this processor. Plainest first.
std::vector<InstructionSet> instruction_sets();

}  // namespace hrm

// The instruction set that this copy of the kernels is compiled for, as the compiler tells it.
#include "kernels/cpu/namespace.h"
#include "kernels/instruction_sets.h"

namespace hrm::HRM_CPU {

extern const InstructionSet compiled_for;
constinit const InstructionSet compiled_for =
#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AVX512BF16__)
    InstructionSet::amx;
#elif defined(__AVX512BF16__)
    InstructionSet::bf16;
#elif defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
    InstructionSet::v4;
#elif defined(__AVX2__)
    InstructionSet::v3;
#elif defined(__SSE4_2__)
    InstructionSet::v2;
#elif defined(__x86_64__)
    InstructionSet::v1;
#elif defined(__ARM_NEON)
    InstructionSet::neon;
#elif defined(__wasm_simd128__)
    InstructionSet::simd128;
#else
    InstructionSet::generic;
#endif

}  // namespace hrm::HRM_CPU

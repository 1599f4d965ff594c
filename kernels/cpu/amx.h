// Intel AMX: eight tile registers of 16 rows x 64 bytes, and a product of two of them.
#pragma once

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__linux__)
#define HRM_AMX 1
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/namespace.h"
#include "kernels/instruction_sets.h"

namespace hrm::HRM_CPU {

// Whether this program may use them: HRM_ISA can turn them off.
inline bool amx_available() { return instruction_set() == InstructionSet::amx; }

// All eight tiles 16 rows x 64 bytes, for this thread, while it lives.
class AmxTiles {
 public:
  AmxTiles() {
    struct alignas(64) Config {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t column_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    static const Config config;
    _tile_loadconfig(&config);
  }
  ~AmxTiles() { _tile_release(); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;
};

}  // namespace hrm::HRM_CPU
#else
#define HRM_AMX 0
#include "kernels/cpu/namespace.h"
namespace hrm::HRM_CPU {
inline bool amx_available() { return false; }
}  // namespace hrm::HRM_CPU
#endif
